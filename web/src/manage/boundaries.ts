/** Boundaries of areas out of a GeoJSON file: looked at first, then given to their areas. The shapes are those of docs/api.md. */
import type { Api, Result } from '../api'

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

export class BoundaryApi {
  constructor(private readonly door: Pick<Api, 'request'>) {}

  send(file: Blob, options: BoundaryOptions, apply: boolean): Promise<Result<FoundBoundaries>> {
    const query = new URLSearchParams({ datum: options.datum, schematic: String(options.schematic), apply: String(apply) })
    if (options.areaId !== null) query.set('area_id', options.areaId)
    const headers = { 'Content-Type': 'application/geo+json', Accept: 'application/json' }
    return this.door.request(`/api/v1/area-boundaries?${query.toString()}`, { method: 'POST', body: file, headers })
  }
}
