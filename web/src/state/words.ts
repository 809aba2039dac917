/**
 * A player's state as words: which catalogue key, with which holes filled. No Vue, no DOM.
 */
import type { QuotaFull } from '../api'
import { hasKey, t } from '../i18n'
import { mbpsText } from '../manage/quotas'
import type { PlayerState, Step } from '../player/state'
import type { Change } from '../player/streams'

/** A camera's `not_found` is not the service's: the camera's own words come first. */
export function reasonText(reason: string, fromCamera: boolean): string {
  const keys = fromCamera ? [`camera.${reason}`, `reason.${reason}`] : [`reason.${reason}`, `camera.${reason}`]
  const key = keys.find(hasKey)
  return key === undefined ? t('reason.other', { code: reason }) : t(key)
}

export function stateReason(state: PlayerState): string | null {
  if (!('reason' in state)) return null
  return reasonText(state.reason, state.kind === 'lost' && state.retriedBy === 'camera')
}

/** Which quota is full, and who holds it. */
export function quotaText(quota: QuotaFull): string {
  const amount = (n: number) => (quota.what === 'views' ? String(n) : mbpsText(n))
  const [first = t('quota.nobody'), ...others] = quota.held_by.map((each) => t('quota.holder', { name: each.name ?? t('quota.others'), used: amount(each.used) }))
  const what = t(`quota.full_${quota.what}`, { name: quota.name, limit: amount(quota.limit), used: amount(quota.used) })
  return t('quota.holders', { what, who: others.reduce((some, next) => t('assign.joint', { some, next }), first) })
}

/** Why the stream on the glass is not the one that is wanted: short, it stands in the tile's foot. */
export function changeText(change: Change): string {
  if (change.kind === 'awaited') {
    return change.reason === null
      ? t(`tile.to_${change.to}`)
      : t(`tile.awaits_${change.to}`, { reason: reasonText(change.reason, true) })
  }
  if (change.reason === 'no_common_codec') return t(`tile.no_codec_${change.to}`)
  return t('tile.switch_failed', { reason: reasonText(change.reason, false) })
}

export function stepText(step: Step): string {
  return t(`step.${step}`)
}

/** A span in the unit a person reads at a glance; tenths only while they tell something. */
export function spanText(ms: number): string {
  const seconds = Math.max(0, ms) / 1000
  if (seconds < 10) return t('unit.seconds', { n: seconds.toFixed(1) })
  if (seconds < 120) return t('unit.seconds', { n: Math.floor(seconds) })
  if (seconds < 7200) return t('unit.minutes', { n: Math.floor(seconds / 60) })
  return t('unit.hours', { n: Math.floor(seconds / 3600) })
}

/** A moment as it stands on a picture: 2026-11-27 09:05:00, the viewer's clock. */
export function stampText(atMs: number): string {
  const at = new Date(atMs)
  const two = (n: number) => String(n).padStart(2, '0')
  const date = [at.getFullYear(), two(at.getMonth() + 1), two(at.getDate())].join('-')
  return `${date} ${[at.getHours(), at.getMinutes(), at.getSeconds()].map(two).join(':')}`
}
