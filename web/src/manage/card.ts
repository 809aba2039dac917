/**
 * A camera's card: its values as texts by field key, and what of them was changed. Pure.
 */
import type { Camera, CameraPatch } from './api'

export type Values = Record<string, string>

/** Those that the service keeps as columns of the channel; `area` is shown by its code. */
const TEXTS = ['code', 'name', 'device_class', 'main_url'] as const
const DEGREES = ['lon', 'lat'] as const

/** How the service names a column in a refusal, where the card has another name. */
const CARD_KEYS: Readonly<Record<string, string>> = { area_id: 'area' }

export function valuesOf(camera: Camera, areaCode: string): Values {
  return {
    ...camera.facts,
    code: camera.code,
    name: camera.name,
    area: areaCode,
    device_class: camera.device_class,
    main_url: camera.main_url ?? '',
    sub_url: camera.sub_url ?? '',
    lon: camera.lon === null ? '' : String(camera.lon),
    lat: camera.lat === null ? '' : String(camera.lat),
    enabled: String(camera.enabled),
  }
}

export function changedKeys(before: Values, now: Values): string[] {
  return [...new Set([...Object.keys(before), ...Object.keys(now)])].filter(
    (key) => (before[key] ?? '') !== (now[key] ?? '').trim(),
  )
}

/** What the form shows when the camera is `now`: what was typed over `before` stays, all else is as it is now. */
export function rebased(before: Values, typed: Values, now: Values): Values {
  return { ...now, ...Object.fromEntries(Object.entries(typed).filter(([key, text]) => text !== (before[key] ?? ''))) }
}

export type Drafted =
  | { readonly kind: 'patch'; readonly patch: CameraPatch }
  /** A field that can't even be sent; `key` is its own, `reason` a key of the catalogue. */
  | { readonly kind: 'wrong'; readonly key: string; readonly reason: 'card.no_number' | 'card.no_area' }

/** What to ask of the service; `areaId` turns a code into an id, null for a code that is none. */
export function draft(before: Values, now: Values, areaId: (code: string) => string | null): Drafted {
  const patch: CameraPatch = {}
  for (const key of changedKeys(before, now)) {
    const value = (now[key] ?? '').trim()
    if (isOneOf(TEXTS, key)) patch[key] = value
    else if (key === 'sub_url') patch.sub_url = value === '' ? null : value
    else if (key === 'enabled') patch.enabled = value === 'true'
    else if (key === 'area') {
      const id = areaId(value)
      if (id === null) return { kind: 'wrong', key, reason: 'card.no_area' }
      patch.area_id = id
    } else if (isOneOf(DEGREES, key)) {
      const degrees = value === '' ? null : Number(value)
      if (Number.isNaN(degrees)) return { kind: 'wrong', key, reason: 'card.no_number' }
      patch[key] = degrees
    } else patch.facts = { ...patch.facts, [key]: value === '' ? null : value }
  }
  return { kind: 'patch', patch }
}

/** The card's key of a field that the service refused. */
export function cardKey(field: string): string {
  return CARD_KEYS[field] ?? field
}

function isOneOf<T extends string>(keys: readonly T[], key: string): key is T {
  return (keys as readonly string[]).includes(key)
}
