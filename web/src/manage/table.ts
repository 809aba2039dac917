/**
 * The managers' table of cameras: a page of them under an area, a search text, a filing state or a
 * verdict, each with what the newest inspections found. A newer question cancels the older one.
 */
import { shallowReactive } from 'vue'
import type { Api, ApiError, Profile, Result } from '../api'
import type { Filing } from './filing'
import type { Advice, InspectionApi, InspectionScope, Judgement, VerdictCard } from './inspections'

/** Twice as many cards at most, which one question may name. */
export const PAGE_ROWS = 50

export interface TableQuestion {
  readonly areaId: string | null
  /** Left out where a verdict is asked for: cards are not searched by name. */
  readonly q: string
  readonly filing: Filing | null
  readonly verdict: Judgement | null
  readonly profile: Profile
}

export interface TableRow {
  readonly id: string
  readonly code: string
  readonly name: string
  readonly areaId: string | null
  readonly filing: Filing | null
  readonly manages: boolean
  readonly cards: Readonly<Partial<Record<Profile, VerdictCard>>>
}

/** The area that the address names: its code ('' for all), and its id where the code is one's. */
export interface NamedArea {
  readonly code: string
  readonly id: string | null
}

/** Null where the area is not known: without it the table would be wider than it says. */
export function questionOf(area: NamedArea, q: string, { filing, verdict, profile }: Pick<TableQuestion, 'filing' | 'verdict' | 'profile'>): TableQuestion | null {
  return area.code !== '' && area.id === null ? null : { areaId: area.id, q, filing, verdict, profile }
}

/** What is ticked; else the area. */
export function namedOf(ticked: Iterable<string>, area: NamedArea): { readonly channel_ids: readonly string[] } | { readonly area_id: string } | null {
  const ids = [...ticked]
  if (ids.length > 0) return { channel_ids: ids }
  return area.id === null ? null : { area_id: area.id }
}

/** Where no area is named, all, for whoever manages all. */
export function scopeOf(ticked: Iterable<string>, area: NamedArea, managesAll: boolean): InspectionScope | null {
  return namedOf(ticked, area) ?? (area.code === '' && managesAll ? {} : null)
}

interface Rows {
  readonly rows: readonly TableRow[]
  readonly total: number | null
  readonly cursor: string | null
}

export class CameraTable {
  readonly view = shallowReactive({
    rows: [] as readonly TableRow[], total: null as number | null, cursor: null as string | null, loading: true, error: null as ApiError | null,
  })
  private question: TableQuestion | null = null
  private abort = new AbortController()

  constructor(private readonly door: Pick<Api, 'channels'>, private readonly inspections: Pick<InspectionApi, 'cards'>) {}

  /** Null: no question, and no rows. */
  async ask(question: TableQuestion | null): Promise<void> {
    this.question = question
    if (question === null) Object.assign(this.view, { rows: [], total: null, cursor: null, loading: false, error: null })
    await this.load(null)
  }

  /** The same page anew, after something was done with its cameras. */
  async again(): Promise<void> {
    await this.load(null)
  }

  async more(): Promise<void> {
    if (!this.view.loading && this.view.cursor !== null) await this.load(this.view.cursor)
  }

  stop(): void {
    this.abort.abort()
  }

  private async load(cursor: string | null): Promise<void> {
    this.abort.abort()
    this.abort = new AbortController()
    if (this.question === null) return
    const { signal } = this.abort
    Object.assign(this.view, { loading: true, error: null })
    const result = await this.page(this.question, cursor, signal)
    if (signal.aborted || result.kind === 'aborted') return
    this.view.loading = false
    if (result.kind === 'error') this.view.error = result.error
    else {
      const { rows, total, cursor: next } = result.value
      Object.assign(this.view, { rows: cursor === null ? rows : [...this.view.rows, ...rows], total, cursor: next })
    }
  }

  private async page(question: TableQuestion, cursor: string | null, signal: AbortSignal): Promise<Result<Rows>> {
    const bare = question.verdict === null ? await this.byChannel(question, cursor, signal) : await this.byVerdict(question, cursor, signal)
    if (bare.kind !== 'success' || bare.value.rows.length === 0) return bare
    const channelIds = bare.value.rows.map((row) => row.id)
    const cards = await this.inspections.cards({ channelIds, limit: 2 * PAGE_ROWS }, signal)
    if (cards.kind !== 'success') return cards
    const rows = bare.value.rows.map((row) => ({ ...row, cards: cardsOf(row.id, cards.value.items) }))
    return { kind: 'success', value: { ...bare.value, rows } }
  }

  private async byChannel({ q, areaId, filing }: TableQuestion, cursor: string | null, signal: AbortSignal): Promise<Result<Rows>> {
    const result = await this.door.channels({ q: q.trim(), areaId, filing, cursor, limit: PAGE_ROWS }, signal)
    if (result.kind !== 'success') return result
    const rows = result.value.items.map((each) => ({
      id: each.id, code: each.code, name: each.name, areaId: each.area_id, filing: each.filing, manages: each.may.includes('manage'), cards: {},
    }))
    return { kind: 'success', value: { rows, total: result.value.total, cursor: result.value.next_cursor } }
  }

  /** Cards are shown only of what one manages. */
  private async byVerdict({ areaId, filing, verdict, profile }: TableQuestion, cursor: string | null, signal: AbortSignal): Promise<Result<Rows>> {
    const result = await this.inspections.cards({ verdict, profile, areaId, filing, cursor, limit: PAGE_ROWS }, signal)
    if (result.kind !== 'success') return result
    const rows = result.value.items.map((each) => ({
      id: each.channel_id, code: each.code, name: each.name, areaId: each.area_id, filing: each.filing, manages: true, cards: {},
    }))
    return { kind: 'success', value: { rows, total: result.value.total, cursor: result.value.next_cursor } }
  }
}

/** What weighs most of each stream, said once where both say the same. */
export function adviceOf(row: TableRow): readonly Advice[] {
  const first = [row.cards.main, row.cards.sub].map((card) => card?.findings[0]).filter((each) => each !== undefined)
  return first.filter((each, index) => first.findIndex((other) => other.code === each.code) === index)
}

function cardsOf(id: string, cards: readonly VerdictCard[]): TableRow['cards'] {
  return Object.fromEntries(cards.filter((card) => card.channel_id === id).map((card) => [card.profile, card]))
}
