/** English words of steering. */
import type { ptzZh } from './ptz.zh'

export const ptzEn: Record<keyof typeof ptzZh, string> = {
  'tile.ptz': 'Steer',
  'ptz.label': 'Steering',
  'ptz.keys': 'Hold a button to turn, let go to stop; keys: arrows turn, + − zoom',
  'ptz.up': 'Up',
  'ptz.down': 'Down',
  'ptz.left': 'Left',
  'ptz.right': 'Right',
  'ptz.up_left': 'Up left',
  'ptz.up_right': 'Up right',
  'ptz.down_left': 'Down left',
  'ptz.down_right': 'Down right',
  'ptz.zoom': 'Zoom',
  'ptz.zoom_in': 'Zoom in',
  'ptz.zoom_out': 'Zoom out',
  'ptz.speed': 'Speed',
  'ptz.preset': 'Preset',
  'ptz.go': 'Go',
  'ptz.held': '{name} steers this camera; it is free ten seconds after they stop.',
  'ptz.take_over': 'Take over',
  'ptz.error.ptz_unsupported': 'This camera can’t be steered: its ONVIF address is not registered, or it has no PTZ.',
  'ptz.error.device_unreachable': 'The camera does not answer. Check the network and its ONVIF port.',
  'ptz.error.device_refused': 'The camera refused. Check whether its user may steer it.',
  'ptz.error.steering_busy': 'Too much at once. Try again shortly.',
  'ptz.error.audit_unavailable': 'The audit row could not be written, so nothing moved. Try again shortly.',
}
