/** Boundaries of areas out of a GeoJSON file: looked at first, then given to their areas. The shapes are those of docs/api.md. */
import { shallowReactive } from 'vue'
import type { Api, ApiError, Result } from '../api'

export const DATUMS = ['wgs84', 'gcj02', 'bd09'] as const
export type Datum = (typeof DATUMS)[number]

/** One feature of the file; `points` 0: it can't be taken, and `reason` says why. */
export interface FoundBoundary {
  readonly number: number
  readonly code: string
  readonly name: string
  readonly area_id: string | null
  readonly area_name: string | null
  readonly points: number
  readonly had: number
  readonly reason: string
  readonly sentence: string
  readonly parts: number
  readonly has_holes: boolean
  readonly points_in_file: number
  readonly moved_m: number
}

export interface FoundBoundaries {
  readonly items: readonly FoundBoundary[]
  readonly applied: boolean
}

export interface BoundaryOptions {
  readonly datum: Datum
  readonly schematic: boolean
  /** Of a file with one boundary; null: each says whose it is. */
  readonly areaId: string | null
}

export interface BoundaryOrder extends BoundaryOptions {
  readonly file: Blob
}

export class BoundaryApi {
  constructor(private readonly door: Pick<Api, 'request'>) {}

  send(file: Blob, options: BoundaryOptions, apply: boolean): Promise<Result<FoundBoundaries>> {
    const query = new URLSearchParams({ datum: options.datum, schematic: String(options.schematic), apply: String(apply) })
    if (options.areaId !== null) query.set('area_id', options.areaId)
    const headers = { 'Content-Type': 'application/geo+json', Accept: 'application/json' }
    return this.door.request(`/api/v1/area-boundaries?${query.toString()}`, { method: 'POST', body: file, headers })
  }
}

/** One file on the desk: what was looked at is what is applied. */
export class BoundaryDesk {
  readonly view = shallowReactive<{ found: FoundBoundaries | null; applying: boolean; error: ApiError | null }>({
    found: null, applying: false, error: null,
  })
  /** What `found` answers. */
  private order: BoundaryOrder | null = null
  private asked = 0

  constructor(private readonly api: Pick<BoundaryApi, 'send'>) {}

  /** In place of any look before it; null: there is nothing to look at. */
  async look(order: BoundaryOrder | null): Promise<void> {
    if (this.view.applying) return
    const mine = (this.asked += 1)
    this.order = order
    Object.assign(this.view, { found: null, error: null })
    if (order === null) return
    const result = await this.api.send(order.file, order, false)
    if (mine !== this.asked) return
    if (result.kind === 'success') this.view.found = result.value
    else if (result.kind === 'error') this.view.error = result.error
  }

  /** Where it fails, what was found stands and can be applied again. */
  async apply(): Promise<void> {
    if (this.order === null || this.view.found === null || this.view.applying) return
    Object.assign(this.view, { applying: true, error: null })
    const result = await this.api.send(this.order.file, this.order, true)
    this.view.applying = false
    if (result.kind === 'success') this.view.found = result.value
    else if (result.kind === 'error') this.view.error = result.error
  }
}
