/** What the log is narrowed by: as its form has it, as the service is asked, and as an export's request says it. */
import { stampText } from '../state/words'
import { OUTCOMES, type ExportRequest, type LogQuery, type Outcome } from './api'

/** A camera as it was typed or clicked; `id` is null while that is none, or not known yet. */
export interface CameraPick {
  readonly typed: string
  readonly id: string | null
}

export interface LogForm {
  /** A username or an id. */
  readonly person: string
  readonly camera: CameraPick
  /** A code. */
  readonly area: string
  /** Any of these; none is every act. */
  readonly acts: readonly string[]
  readonly outcome: Outcome | null
  /** A code, or a part of what was said with it. */
  readonly purpose: string
  /** As an input of the kind datetime-local gives them: local time, or empty. */
  readonly since: string
  readonly until: string
}

export const ANY_CAMERA: CameraPick = { typed: '', id: null }
export const ANY: LogForm = { person: '', camera: ANY_CAMERA, area: '', acts: [], outcome: null, purpose: '', since: '', until: '' }

/** Of the inputs of time. A request for an export may have its seconds; a year has four digits. */
export const TIME_INPUT = { type: 'datetime-local', step: 1, max: '9999-12-31T23:59:59' } as const

/** A time, or none. */
export function isTime(text: string): boolean {
  return text === '' || !Number.isNaN(Date.parse(text))
}

/** An auditor who may list no areas has no cameras to choose from; one that was clicked, or is typed, stays. */
export function asksForCamera({ camera }: LogForm, hasAreas: boolean): boolean {
  return hasAreas || camera.id !== null || camera.typed !== ''
}

/**
 * Null while a camera, an area or a time stands there that is none: without it the answer would be wider than it looks.
 * Views have no acts to choose from.
 */
export function queryOf(form: LogForm, mine: boolean, everyAct: boolean, areaId: (code: string) => string | null): LogQuery | null {
  const { person, camera, outcome, purpose, since, until } = form
  const code = form.area.trim()
  const area = code === '' ? null : areaId(code)
  const isWhole = (camera.typed.trim() === '' || camera.id !== null) && (code === '' || area !== null) && isTime(since) && isTime(until)
  if (!mine && !isWhole) return null
  return { mine, person, channelId: camera.id, areaId: area, acts: everyAct ? form.acts : [], outcome, purpose, since, until }
}

const SHOWN: readonly string[] = ['subject', 'subject_id', 'channel_id', 'area_id', 'acts', 'outcome', 'purpose', 'since', 'until']

/** The form for the rows that a request would have exported; null where it can't say them, be it of an area that is gone. */
export function formOf({ asked, channel_name: name }: ExportRequest, areaCode: (id: string) => string): LogForm | null {
  if (Object.keys(asked).some((each) => !SHOWN.includes(each))) return null
  const text = (key: string) => (typeof asked[key] === 'string' ? asked[key] : '')
  const at = (key: string) => (text(key) === '' ? '' : stampText(Date.parse(text(key))).replace(' ', 'T'))
  const channelId = text('channel_id')
  const area = text('area_id') === '' ? '' : areaCode(text('area_id'))
  if (text('area_id') !== '' && area === '') return null
  return {
    // Whose name it was then: another account may have it by now.
    person: text('subject_id') || text('subject'),
    camera: channelId === '' ? ANY_CAMERA : { typed: name ?? channelId, id: channelId },
    area,
    acts: Array.isArray(asked['acts']) ? asked['acts'].map(String) : [],
    outcome: OUTCOMES.find((each) => each === asked['outcome']) ?? null,
    purpose: text('purpose'),
    since: at('since'),
    until: at('until'),
  }
}
