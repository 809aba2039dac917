/**
 * Inspections: what is asked of the service, and the facts of a card as rows to read. The shapes are
 * those of docs/api.md; what each fact is stands in docs/inspect.md.
 */
import { jsonInit, type Api, type Profile, type Result } from '../api'
import type { Page } from './api'
import type { Filing } from './filing'
import type { Job } from './follow'

export type Judgement = 'plays' | 'limited' | 'fails'
export const JUDGEMENTS: readonly Judgement[] = ['plays', 'limited', 'fails']

export interface Run extends Job {
  readonly created_at: string
  readonly created_by: string | null
  readonly profiles: readonly Profile[]
  readonly total: number
  readonly done: number
  readonly counts: Readonly<Partial<Record<Judgement | 'gone', number>>>
}

/** Neither an area nor channels: all. */
export interface InspectionScope {
  readonly area_id?: string
  readonly channel_ids?: readonly string[]
}

export interface Advice {
  readonly code: string
  readonly severity: 'error' | 'warning'
  readonly zh: string
  readonly en: string
}

/** Null: not learnt. */
export interface CardFacts {
  readonly codec: string | null
  readonly profile: string | null
  readonly level: string | null
  readonly width: number | null
  readonly height: number | null
  readonly interlaced: boolean | null
  readonly fps_declared: number | null
  readonly fps_measured: number | null
  readonly bit_rate_bps: number | null
  readonly gop_ms: number | null
  readonly gop_pictures: number | null
  readonly gop_at_least_ms: number | null
  readonly b_frames: boolean | null
  readonly audio: string | null
  readonly transport: string | null
  readonly clock_skew_ms: number | null
  readonly first_keyframe_ms: number | null
  readonly packets_lost: number
}

export interface VerdictCard {
  readonly channel_id: string
  readonly code: string
  readonly name: string
  readonly area_id: string | null
  readonly filing: Filing | null
  readonly profile: Profile
  readonly at: string
  readonly verdict: Judgement
  readonly findings: readonly Advice[]
  readonly facts: CardFacts
  readonly has_picture: boolean
}

export interface CardQuery {
  readonly verdict?: Judgement | null
  readonly profile?: Profile | null
  readonly areaId?: string | null
  readonly filing?: Filing | null
  readonly channelIds?: readonly string[]
  readonly cursor?: string | null
  readonly limit: number
}

const RUNS = '/api/v1/inspections'
const runPath = (id: string, part = '') => `${RUNS}/${encodeURIComponent(id)}${part}`

export class InspectionApi {
  constructor(private readonly door: Api) {}

  begin(scope: InspectionScope, profiles: readonly Profile[]): Promise<Result<Run>> {
    return this.door.request(RUNS, jsonInit('POST', { ...scope, profiles }))
  }

  newest(signal?: AbortSignal): Promise<Result<{ readonly items: readonly Run[] }>> {
    return this.door.get(`${RUNS}?limit=1`, signal)
  }

  run(id: string, signal?: AbortSignal): Promise<Result<Run>> {
    return this.door.get(runPath(id), signal)
  }

  resume(id: string): Promise<Result<Run>> {
    return this.door.request(runPath(id, '/resume'), jsonInit('POST', {}))
  }

  stop(id: string): Promise<Result<Run>> {
    return this.door.request(runPath(id), { method: 'DELETE' })
  }

  cards(query: CardQuery, signal?: AbortSignal): Promise<Result<Page<VerdictCard>>> {
    const search = new URLSearchParams({ limit: String(query.limit) })
    if (query.verdict) search.set('verdict', query.verdict)
    if (query.profile) search.set('profile', query.profile)
    if (query.areaId) search.set('area_id', query.areaId)
    if (query.filing) search.set('filing', query.filing)
    if (query.cursor) search.set('cursor', query.cursor)
    for (const id of query.channelIds ?? []) search.append('channel_id', id)
    return this.door.get(`/api/v1/channel-inspections?${search.toString()}`, signal)
  }
}

/** The still that was kept with the card; `at` makes the newest one's address another. */
export function stillUrl(card: VerdictCard): string {
  const query = new URLSearchParams({ profile: card.profile, at: card.at })
  return `/api/v1/channels/${encodeURIComponent(card.channel_id)}/inspection.jpg?${query.toString()}`
}

export type FactKey =
  | 'codec' | 'size' | 'fps' | 'bit_rate' | 'gop' | 'b_frames' | 'audio' | 'clock' | 'first_keyframe' | 'transport' | 'lost'

/** What was learnt, as texts; `true` and `false` are for the catalogue. */
export function factRows(facts: CardFacts): readonly (readonly [FactKey, string | boolean])[] {
  const rows: (readonly [FactKey, string | boolean | null])[] = [
    ['codec', facts.codec === null ? null : [facts.codec, facts.profile, facts.level].filter((each) => each !== null).join(' ')],
    ['size', facts.width === null || facts.height === null ? null : `${facts.width}×${facts.height}${facts.interlaced === true ? 'i' : ''}`],
    ['fps', rate(facts)],
    ['bit_rate', facts.bit_rate_bps === null ? null : bits(facts.bit_rate_bps)],
    ['gop', gop(facts)],
    ['b_frames', facts.b_frames],
    ['audio', facts.audio],
    ['clock', facts.clock_skew_ms === null ? null : `${facts.clock_skew_ms > 0 ? '+' : ''}${(facts.clock_skew_ms / 1000).toFixed(1)} s`],
    ['first_keyframe', facts.first_keyframe_ms === null ? null : `${facts.first_keyframe_ms} ms`],
    ['transport', facts.transport === null ? null : facts.transport.toUpperCase()],
    ['lost', facts.packets_lost > 0 ? String(facts.packets_lost) : null],
  ]
  return rows.filter((row): row is readonly [FactKey, string | boolean] => row[1] !== null)
}

function rate({ fps_measured: measured, fps_declared: declared }: CardFacts): string | null {
  const said = measured ?? declared
  if (said === null) return null
  const differs = measured !== null && declared !== null && Math.abs(measured - declared) >= 1
  return differs ? `${tidy(measured)} (${tidy(declared)})` : tidy(said)
}

function gop(facts: CardFacts): string | null {
  if (facts.gop_ms !== null) return `${tidy(facts.gop_ms / 1000)} s${facts.gop_pictures === null ? '' : ` · ${facts.gop_pictures}`}`
  return facts.gop_at_least_ms === null ? null : `≥ ${tidy(facts.gop_at_least_ms / 1000)} s`
}

function bits(bps: number): string {
  return bps < 1_000_000 ? `${Math.round(bps / 1000)} kbit/s` : `${tidy(bps / 1_000_000)} Mbit/s`
}

function tidy(value: number): string {
  return String(Math.round(value * 10) / 10)
}
