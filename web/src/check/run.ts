/**
 * "Can I watch?": the checks behind the panel, each a plain result with what was found.
 * The path is tested by what will be used: a real view, its selected candidate pair, its pictures.
 * Not here: words (the panel maps results to the catalogue).
 */
import type { Api, Channel } from '../api'
import { Player } from '../player/player'
import { monotonicNowMs, type PlayerState, type Step } from '../player/state'
import { pathSample, type MediaSample, type PathSample } from '../player/stats'

export const CHECKS = ['webrtc', 'h264', 'service', 'udp', 'picture'] as const
export type Check = (typeof CHECKS)[number]

export type Outcome =
  | { readonly kind: 'waiting' | 'running' }
  | { readonly kind: 'pass'; readonly params?: Record<string, string | number> }
  | { readonly kind: 'fail' | 'skip'; readonly cause: Cause }

/** Why a check did not pass: `plain` has one fixed sentence, the others carry what was found. */
export type Cause =
  | { readonly kind: 'plain' }
  | { readonly kind: 'service'; readonly code: string }
  | { readonly kind: 'stopped'; readonly step: Step }
  | { readonly kind: 'refused' | 'camera' | 'browser'; readonly reason: string; readonly fromCamera: boolean }
  | { readonly kind: 'no-channel' }

export type Outcomes = Record<Check, Outcome>

/** A LAN answers in a tenth of this; beyond it nobody would call the video usable. */
const VIEW_DEADLINE_MS = 12_000
const LOOK_MS = 100

/** The H.264 profiles this browser can receive, as profile-level-ids. */
export function h264Profiles(capabilities: RTCRtpCapabilities | null): string[] {
  const found = new Set<string>()
  for (const codec of capabilities?.codecs ?? []) {
    if (codec.mimeType.toLowerCase() !== 'video/h264') continue
    found.add(/profile-level-id=([0-9a-f]{6})/i.exec(codec.sdpFmtpLine ?? '')?.[1] ?? '?')
  }
  return [...found]
}

export interface ViewFindings {
  readonly state: PlayerState
  readonly lastStep: Step
  readonly path: PathSample | null
  readonly media: MediaSample | null
}

/** What the test view says about the network, and about pictures. Pure. */
export function judgeView(found: ViewFindings, name: string): { udp: Outcome; picture: Outcome } {
  const { state, path, media } = found
  const skip: Outcome = { kind: 'skip', cause: { kind: 'plain' } }
  const reason = 'reason' in state ? state.reason : 'no_media'
  const fromCamera = state.kind === 'lost' && state.retriedBy === 'camera'
  if (path === null) {
    const answered = state.kind === 'lost' && (fromCamera || reason === 'ice_failed')
    const refused = (state.kind === 'refused' || state.kind === 'lost') && !answered
    const cause: Cause = refused ? { kind: 'refused', reason, fromCamera } : { kind: 'stopped', step: found.lastStep }
    return { udp: { kind: 'fail', cause }, picture: skip }
  }
  const { protocol, remote, roundTripMs, srtpCipher } = path
  const params = { protocol: protocol.toUpperCase(), remote, ms: roundTripMs ?? '?', cipher: srtpCipher ?? '?' }
  const udp: Outcome = { kind: 'pass', params }
  if (media !== null && media.picturesDecoded > 0) {
    const { width, height, picturesDecoded: n } = media
    return { udp, picture: { kind: 'pass', params: { name, width, height, n } } }
  }
  if (media !== null && media.packets > 0) {
    return { udp, picture: { kind: 'fail', cause: { kind: 'browser', reason: 'not_decoded', fromCamera: false } } }
  }
  // The browser and the network did their part; the camera did not.
  return { udp, picture: { kind: 'skip', cause: { kind: 'camera', reason, fromCamera } } }
}

/** Opens a view just for the test, until a picture is decoded or the deadline has passed. */
async function tryView(channelId: string, signal: AbortSignal): Promise<ViewFindings> {
  let lastStep: Step = 'offer'
  const player = new Player({
    channelId,
    profile: 'sub',
    onState: (state) => {
      if (state.kind === 'opening') lastStep = state.step
    },
  })
  const untilMs = monotonicNowMs() + VIEW_DEADLINE_MS
  let path: PathSample | null = null
  player.open()
  try {
    for (;;) {
      const report = await player.getStats()
      path = (report === null ? null : pathSample(report)) ?? path
      const { state, sample: media } = player
      const decided = state.kind === 'live' || state.kind === 'refused' || state.kind === 'ended'
      const broken = state.kind === 'lost' && (state.retriedBy === 'view' || path !== null)
      if ((decided && path !== null) || state.kind === 'refused' || broken || monotonicNowMs() > untilMs || signal.aborted) {
        return { state, lastStep, path, media }
      }
      await new Promise((resolve) => setTimeout(resolve, LOOK_MS))
    }
  } finally {
    player.close()
  }
}

/** Runs all checks in order and tells each outcome as it is known. */
export async function runChecks(
  api: Api, preferred: { id: string; name: string } | null, signal: AbortSignal,
  tell: (check: Check, outcome: Outcome) => void,
): Promise<void> {
  const plain: Cause = { kind: 'plain' }
  const hasWebrtc = typeof RTCPeerConnection === 'function'
  tell('webrtc', hasWebrtc ? { kind: 'pass' } : { kind: 'fail', cause: plain })

  const profiles = hasWebrtc ? h264Profiles(RTCRtpReceiver.getCapabilities('video')) : []
  tell('h264', profiles.length > 0
    ? { kind: 'pass', params: { profiles: profiles.join(', ') } }
    : { kind: 'fail', cause: plain })

  tell('service', { kind: 'running' })
  const askedAtMs = monotonicNowMs()
  const health = await api.health(signal)
  if (health.kind === 'aborted') return
  const ms = Math.round(monotonicNowMs() - askedAtMs)
  tell('service', health.kind === 'success'
    ? { kind: 'pass', params: { ms } }
    : { kind: 'fail', cause: { kind: 'service', code: health.error.code } })

  tell('udp', { kind: 'running' })
  const target = preferred ?? (await firstWatchable(api, signal))
  if (target === null || !hasWebrtc) {
    tell('udp', { kind: 'skip', cause: { kind: 'no-channel' } })
    tell('picture', { kind: 'skip', cause: plain })
    return
  }
  tell('picture', { kind: 'running' })
  const { udp, picture } = judgeView(await tryView(target.id, signal), target.name)
  tell('udp', udp)
  tell('picture', picture)
}

async function firstWatchable(api: Api, signal: AbortSignal): Promise<Channel | null> {
  const page = await api.channels({ limit: 20 }, signal)
  if (page.kind !== 'success') return null
  // One that asks what for is nothing to try with.
  return page.value.items.find(({ enabled, may, purpose_for: asked }) => enabled && may.includes('live') && !asked.includes('live')) ?? null
}
