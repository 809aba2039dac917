/**
 * What a row of the log says besides its columns: to whom, about what, which actions, as short words;
 * and all of it, key by key, for who opens the row. A row holds no secret (docs/audit.md).
 */
import { hasKey, localTime, t } from '../i18n'
import { actionsText } from '../manage/grants'
import { purposeText } from '../state/purpose'
import type { LogRow } from './api'

type Detail = LogRow['detail']

/** Keys that are told in words, in this order, each with how its value is written. */
const TOLD: Readonly<Record<string, (value: unknown, nowMs: number) => string>> = {
  to: holderText, of: plain, username: plain, about: plain, member: plain, role: plain, asked_by: plain, name: plain, code: plain, host: plain, issuer: plain, file: plain,
  effect: choice('grant.effect.'), action: (value) => actionsText([String(value)]), actions: (value) => actionsText(Array.isArray(value) ? value.map(String) : []),
  allowed: choice('log.allowed.'), valid_until: time, expires_at: time, minutes: plain, changed: joined,
  profile: choice('tile.'), cause: choice('log.why.'), purpose: (value) => purposeText(String(value)), purpose_note: plain, reason: choice('log.why.'),
  channels: plain, count: plain, number: plain, subjects: plain, areas: joined, deliveries: plain, views_closed: plain, taken_from: plain,
}
/** Short words for a row; empty where its detail says nothing more. */
export function detailText({ act, outcome, detail }: Pick<LogRow, 'act' | 'outcome' | 'detail'>, nowMs: number): string {
  return Object.entries(TOLD).flatMap(([key, text]) => {
    const value = detail[key]
    if (isNothing(value) || (outcome === 'refused' && key === 'code')) return []
    const label = labelOf(act, key)
    const words = text(value, nowMs)
    return [label === null ? words : t('log.detail_pair', { key: label, value: words })]
  }).join(' · ')
}

/** All that the detail has, as it is: names of keys are the service's. */
export function detailPairs(detail: Detail): readonly { readonly key: string; readonly value: string }[] {
  return Object.entries(detail).map(([key, value]) => ({ key, value: plain(value) }))
}

function labelOf(act: string, key: string): string | null {
  const own = `log.detail.${act}.${key}`
  const common = `log.detail.${key}`
  return hasKey(own) ? t(own) : hasKey(common) ? t(common) : null
}

function isNothing(value: unknown): boolean {
  return value === undefined || value === null || value === '' || (Array.isArray(value) && value.length === 0)
}

function plain(value: unknown): string {
  return typeof value === 'string' ? value : JSON.stringify(value)
}

/** A list; or what was changed, field by field. */
function joined(value: unknown): string {
  if (typeof value !== 'object' || value === null) return plain(value)
  const items = Array.isArray(value) ? value.map(plain) : Object.entries(value).map(([key, each]) => t('log.detail_pair', { key, value: plain(each) }))
  return items.reduce((some, next) => t('assign.joint', { some, next }))
}

/** A grant's holder: a username, or `role:` and a role's name. */
function holderText(value: unknown): string {
  const name = plain(value)
  return name.startsWith('role:') ? t('grant.by_role', { role: name.slice('role:'.length) }) : name
}

function time(value: unknown, nowMs: number): string {
  const atMs = Date.parse(plain(value))
  return Number.isNaN(atMs) ? plain(value) : localTime(atMs, nowMs)
}

/** One of a few words; what has none stays as it is. */
function choice(prefix: string): (value: unknown) => string {
  return (value) => {
    const key = `${prefix}${plain(value)}`
    return hasKey(key) ? t(key) : plain(value)
  }
}
