/**
 * A grant as a form takes it, and in plain words. Pure but for the language.
 */
import type { ApiError } from '../api'
import type { components } from '../openapi'
import { beijingTime, hasKey, t } from '../i18n'
import type { FieldBook } from './fields'
import type { Action, Grant, GrantDraft } from './people'

type Schemas = components['schemas']
export type Day = Schemas['WindowBody']['days'][number]
export type Effect = Schemas['Effect']
export type WeeklyWindow = Schemas['WindowBody']

export const ACTIONS = ['list', 'live', 'snapshot', 'ptz', 'playback', 'talk', 'export', 'manage', 'audit'] as const satisfies readonly Action[]
export const DAYS = ['mon', 'tue', 'wed', 'thu', 'fri', 'sat', 'sun'] as const satisfies readonly Day[]
export const TARGETS = ['area', 'camera', 'class'] as const
export type Target = (typeof TARGETS)[number]
/** A later year has more digits than a time has. */
export const LAST_TIME = '9999-12-31T23:59'
/** As many as the service takes. */
export const MAX_WINDOWS = 21

export interface WindowForm {
  days: readonly Day[]
  /** `HH:MM`, or '' where nothing is typed. */
  start: string
  end: string
}

export interface GrantForm {
  readonly subjectId: string | null
  /** Where no id is known, of who sees no list of accounts. */
  readonly username: string
  readonly effect: Effect
  readonly actions: readonly Action[]
  readonly target: Target
  /** Of an area, or of a class within one: null is none. */
  readonly areaId: string | null
  /** What was typed of the area: something that is none must not be taken for nothing. */
  readonly areaTyped: string
  readonly channelId: string | null
  readonly deviceClass: string
  /** As `datetime-local` has them, by the clock of Beijing as the hours are; '' is now, and until revoked. */
  readonly from: string
  readonly until: string
  readonly windows: readonly WindowForm[]
  readonly purpose: boolean
}

export type Lack = 'holder' | 'actions' | 'area' | 'camera' | 'windows' | 'times'

/** The first thing that is still missing or can't be meant; null when it can be sent. */
export function lackOf(form: GrantForm): Lack | null {
  if (form.subjectId === null && form.username.trim() === '') return 'holder'
  if (form.actions.length === 0) return 'actions'
  if (form.target === 'camera') {
    if (form.channelId === null) return 'camera'
  } else if (form.areaId === null && (form.target === 'area' || form.areaTyped.trim() !== '')) return 'area'
  if (form.windows.some((each) => windowIn(each) === null)) return 'windows'
  const [from, until] = [timeIn(form.from), timeIn(form.until)]
  if ((form.from !== '' && from === null) || (form.until !== '' && until === null)) return 'times'
  return from !== null && until !== null && until <= from ? 'times' : null
}

/** As the service takes it, of a form that lacks nothing. */
export function draftOf(form: GrantForm): GrantDraft {
  const where: Partial<GrantDraft> = form.target === 'camera'
    ? { channel_id: form.channelId }
    : { area_id: form.areaId, ...(form.target === 'class' && { conditions: [{ field: 'device_class', op: 'eq', values: [form.deviceClass] }] }) }
  const windows = form.windows.flatMap((each) => windowIn(each) ?? [])
  const [from, until] = [timeIn(form.from), timeIn(form.until)]
  return {
    ...(form.subjectId === null ? { username: form.username.trim() } : { subject_id: form.subjectId }), effect: form.effect, actions: ACTIONS.filter((each) => form.actions.includes(each)), ...where,
    ...(windows.length > 0 && { windows }),
    ...(from !== null && { valid_from: from }),
    ...(until !== null && { valid_until: until }),
    // Nobody is asked why of what is denied.
    ...(form.purpose && form.effect === 'allow' && { purpose_required: true }),
  }
}

/** Beijing's time as the service takes it; null where it is none. */
function timeIn(typed: string): string | null {
  const atMs = Date.parse(`${typed}+08:00`)
  return Number.isNaN(atMs) ? null : new Date(atMs).toISOString()
}

/** Midnight as an end is 24:00, which a field for times can't have. */
function windowIn({ days, start, end }: WindowForm): WeeklyWindow | null {
  const until = end === '00:00' ? '24:00' : end
  if (days.length === 0 || start === '' || end === '' || start === until) return null
  return { days: DAYS.filter((each) => days.includes(each)), start, end: until }
}

export type Part = 'holder' | 'actions' | 'target' | 'from' | 'until' | 'windows' | 'purpose'
/** Which part of the form a `field` is of. */
const PART_OF: Readonly<Partial<Record<string, Part>>> = {
  subject_id: 'holder', actions: 'actions', area_id: 'target', channel_id: 'target', conditions: 'target',
  valid_from: 'from', valid_until: 'until', windows: 'windows', purpose_required: 'purpose',
}

/** The part of the form that a refusal is about; null where it has none, as of a holder who is given. */
export function partOf({ code, field }: Pick<ApiError, 'code' | 'field'>, holderIsGiven: boolean): Part | null {
  const part = code === 'pass_on_purpose' ? 'purpose' : PART_OF[field ?? '']
  return part === undefined || (part === 'holder' && holderIsGiven) ? null : part
}

/** A denial is for whoever manages the district: it binds those above an area, too. */
export function mayRevoke({ effect }: Pick<Grant, 'effect'>, managesDistrict: boolean): boolean {
  return effect === 'allow' || managesDistrict
}

export function actionText(action: string): string {
  const key = `account.action.${action}`
  return hasKey(key) ? t(key) : action
}

export function actionsText(actions: readonly string[]): string {
  const ordered = [...ACTIONS.filter((each) => actions.includes(each)), ...actions.filter((each) => !(ACTIONS as readonly string[]).includes(each))]
  return list(ordered.map(actionText))
}

/** Mon–Fri 22:00 to 06:00 of the next day. */
export function windowText({ days, start, end }: WeeklyWindow): string {
  return t(end < start ? 'grant.hours_overnight' : 'grant.hours', { days: daysText(days), start, end })
}

/** Three days in a row and more are a span. */
export function daysText(days: readonly Day[]): string {
  if (days.length === DAYS.length) return t('grant.every_day')
  const runs: Day[][] = []
  for (const [index, day] of DAYS.entries()) {
    if (!days.includes(day)) continue
    const before = DAYS[index - 1]
    if (before !== undefined && days.includes(before)) runs.at(-1)?.push(day)
    else runs.push([day])
  }
  return list(runs.flatMap((run) => {
    const [first, last] = [run[0], run.at(-1)]
    if (run.length < 3 || first === undefined || last === undefined) return run.map((day) => t(`grant.day.${day}`))
    return [t('grant.day_span', { first: t(`grant.day.${first}`), last: t(`grant.day.${last}`) })]
  }))
}

export type Standing = 'coming' | 'holds' | 'ended' | 'revoked'

export function standing({ valid_from: from, valid_until: until, revoked_at: revoked }: Pick<Grant, 'valid_from' | 'valid_until' | 'revoked_at'>, nowMs: number): Standing {
  if (revoked !== null) return 'revoked'
  if (until !== null && Date.parse(until) <= nowMs) return 'ended'
  return Date.parse(from) > nowMs ? 'coming' : 'holds'
}

export function validText({ valid_from: from, valid_until: until }: Pick<Grant, 'valid_from' | 'valid_until'>, nowMs: number): string {
  const since = beijingTime(Date.parse(from), nowMs)
  return until === null ? t('grant.open_end', { from: since }) : t('grant.from_until', { from: since, until: beijingTime(Date.parse(until), nowMs) })
}

/** Where it holds, a line for each part of it. `path` names an area. */
export function targetText(grant: Grant, book: FieldBook, path: (areaId: string) => string | null): readonly string[] {
  if (grant.channel_id !== null) return [grant.channel_name ?? t('grant.no_camera')]
  const area = grant.area_id === null ? null : (path(grant.area_id) ?? grant.area_name ?? grant.area_id)
  const where = area === null ? t('grant.whole_district') : t('grant.area_below', { name: area })
  return [where, ...grant.conditions.map((each) => {
    const values = each.values.map((value) => book.text(each.field, value)).reduce((some, next) => t('grant.or', { some, next }))
    return t(`grant.condition.${each.op}`, { field: book.label(each.field), values })
  })]
}

/** By way of what, where it is not the account's own. */
export function originText({ role_id: roleId, role_name: role, lent_by: lender }: Pick<Grant, 'role_id' | 'role_name' | 'lent_by'>): string | null {
  if (roleId !== null) return t('grant.by_role', { role: role ?? roleId })
  return lender === null ? null : t('grant.lent', { name: lender })
}

/** All that it says, in one line: what, where, when, at which hours, and whether it asks for a purpose. */
export function grantText(grant: Grant, book: FieldBook, path: (areaId: string) => string | null, nowMs: number): string {
  return [
    actionsText(grant.actions), ...targetText(grant, book, path), validText(grant, nowMs), ...grant.windows.map(windowText),
    ...(grant.purpose_required ? [t('grant.asks')] : []),
  ].join(' · ')
}

/** A sentence that names grants by their ids, with their numbers in the list instead: [1], [2]. */
export function numbered(sentence: string, grantIds: readonly string[]): string {
  return grantIds.reduce((text, id, index) => text.replaceAll(id, `[${index + 1}]`), sentence)
}

function list(words: readonly string[]): string {
  return words.length === 0 ? '' : words.reduce((some, next) => t('assign.joint', { some, next }))
}
