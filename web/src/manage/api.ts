/**
 * What only those who manage cameras ask of the service: imports, exports, a camera's card.
 * Through the one door (`api.ts`); the shapes are those of docs/api.md.
 */
import { jsonInit, type Api, type Channel, type Result } from '../api'
import type { Lang } from '../i18n'
import type { components } from '../openapi'

type Schemas = components['schemas']
export type Device = Schemas['DeviceOut']

export type Verdict = 'add' | 'change' | 'same' | 'refused'
export type ImportState = 'checking' | 'checked' | 'refused' | 'applied' | 'undone' | 'discarded'
export type Datum = 'wgs84' | 'gcj02' | 'bd09'

export interface ImportOptions {
  readonly template: string
  /** Code of the area of new cameras that name none. */
  readonly area: string | null
  readonly device_class: string
  readonly vendor: string | null
  readonly datum: Datum
  /** Industry, type and network of codes to make: six digits. */
  readonly mint: string | null
  readonly clear_empty: boolean
}

export type Counts = Readonly<Partial<Record<Verdict | 'warnings', number>>>

export interface ImportJob {
  readonly id: string
  readonly created_at: string
  readonly created_by: string | null
  readonly file_name: string
  readonly options: ImportOptions
  readonly state: ImportState
  readonly rows_done: number
  readonly counts: Counts
  /** Why the file as a whole was refused. */
  readonly code: string | null
  readonly sentence: string | null
  readonly finished_at: string | null
  /** Told by an undo: how many devices keep the credentials that it gave them, and names of some. */
  readonly keep_credentials?: number
  readonly keep_credentials_names?: readonly string[]
}

export interface Finding {
  readonly column: string
  readonly field: string | null
  readonly code: string
  readonly sentence: string
  readonly severity: 'error' | 'warning'
}

export interface Change {
  readonly field: string
  readonly before: string
  readonly after: string
}

export interface ImportRow {
  readonly row: number
  readonly verdict: Verdict
  readonly code: string | null
  readonly name: string | null
  readonly code_made: boolean
  readonly changes: readonly Change[]
  readonly findings: readonly Finding[]
}

export interface RowPage {
  readonly items: readonly ImportRow[]
  readonly next_after: number | null
}

export interface Page<T> {
  readonly items: readonly T[]
  readonly next_cursor: string | null
  readonly total: number
}

export interface Template {
  readonly name: string
  readonly title: string
  readonly title_en: string
  readonly columns: number
}

export interface Words {
  readonly zh: string
  readonly en: string
}

export type FieldKind =
  | 'text' | 'gb_code' | 'area' | 'choice' | 'choices' | 'rtsp_url' | 'secret' | 'longitude' | 'latitude'
  | 'boolean' | 'ipv4' | 'ipv6' | 'mac' | 'integer' | 'decimal' | 'date'

export interface Field extends Words {
  readonly key: string
  readonly kind: FieldKind
  readonly of: 'channel' | 'device' | 'facts'
  readonly section: string
  readonly max_chars: number
  readonly choices: readonly (Words & { readonly code: string })[]
}

export interface Fields {
  readonly sections: readonly (Words & { readonly key: string })[]
  readonly items: readonly Field[]
}

/** `main_url` and the like are null, and `facts` empty, for whoever does not manage it. */
export interface Camera extends Channel {
  readonly lon: number | null
  readonly lat: number | null
  readonly device_id: string | null
  readonly main_url: string | null
  readonly sub_url: string | null
  readonly facts: Readonly<Record<string, string>>
  /** Why it was sent back. */
  readonly filing_note: string | null
  /** Its pictures ask everybody for a purpose. */
  readonly sensitive: boolean
}

export interface CameraPatch {
  code?: string
  name?: string
  area_id?: string
  device_class?: string
  main_url?: string
  sub_url?: string | null
  lon?: number | null
  lat?: number | null
  enabled?: boolean
  sensitive?: boolean
  facts?: Record<string, string | null>
}

export interface Version {
  readonly version: number
  readonly at: string
  readonly by: string | null
  readonly act: string
  readonly import_id: string | null
  readonly existed: boolean
  readonly exists: boolean
  readonly changes: readonly Change[]
}

export interface ExportChoice {
  readonly template: string
  readonly kind: 'csv' | 'xlsx' | 'json'
  readonly language: Lang
  readonly areaId: string | null
}

const IMPORTS = '/api/v1/imports'
const importPath = (id: string, part = '') => `${IMPORTS}/${encodeURIComponent(id)}${part}`
const devicePath = (id: string) => `/api/v1/devices/${encodeURIComponent(id)}`
const channelPath = (id: string, part = '') => `/api/v1/channels/${encodeURIComponent(id)}${part}`

export class ManageApi {
  constructor(private readonly door: Api) {}

  templates(): Promise<Result<readonly Template[]>> {
    return this.door.get('/api/v1/import-templates')
  }

  vendors(): Promise<Result<readonly (Words & { readonly name: string })[]>> {
    return this.door.get('/api/v1/import-vendors')
  }

  fields(): Promise<Result<Fields>> {
    return this.door.get('/api/v1/channel-fields')
  }

  imports(cursor: string | null, limit: number): Promise<Result<Page<ImportJob>>> {
    const query = new URLSearchParams({ limit: String(limit), ...(cursor !== null && { cursor }) })
    return this.door.get(`${IMPORTS}?${query.toString()}`)
  }

  /** Sends a file; its check begins and nothing is changed. */
  createImport(file: Blob, name: string, options: ImportOptions): Promise<Result<ImportJob>> {
    const query = new URLSearchParams({ name, template: options.template, device_class: options.device_class, datum: options.datum })
    if (options.area !== null) query.set('area', options.area)
    if (options.vendor !== null) query.set('vendor', options.vendor)
    if (options.mint !== null) query.set('mint', options.mint)
    if (options.clear_empty) query.set('clear_empty', 'true')
    const headers = { 'Content-Type': 'application/octet-stream', Accept: 'application/json' }
    return this.door.request(`${IMPORTS}?${query.toString()}`, { method: 'POST', headers, body: file })
  }

  importJob(id: string, signal?: AbortSignal): Promise<Result<ImportJob>> {
    return this.door.get(importPath(id), signal)
  }

  importRows(id: string, verdict: Verdict | null, after: number, limit: number, signal?: AbortSignal): Promise<Result<RowPage>> {
    const query = new URLSearchParams({ after: String(after), limit: String(limit), ...(verdict !== null && { verdict }) })
    return this.door.get(importPath(id, `/rows?${query.toString()}`), signal)
  }

  /** The file with its findings, said in that language. */
  workbook(id: string, language: Lang): Promise<Result<Blob>> {
    return this.door.file(importPath(id, `/workbook?language=${language}`))
  }

  checkImport(id: string): Promise<Result<ImportJob>> {
    return this.door.request(importPath(id, '/check'), jsonInit('POST', {}))
  }

  applyImport(id: string, withoutRefused: boolean): Promise<Result<ImportJob>> {
    return this.door.request(importPath(id, '/apply'), jsonInit('POST', { without_refused: withoutRefused }))
  }

  undoImport(id: string): Promise<Result<ImportJob>> {
    return this.door.request(importPath(id, '/undo'), jsonInit('POST', {}))
  }

  discardImport(id: string): Promise<Result<null>> {
    return this.door.request(importPath(id), { method: 'DELETE' })
  }

  exported(choice: ExportChoice): Promise<Result<Blob>> {
    const query = new URLSearchParams({ template: choice.template, kind: choice.kind, language: choice.language })
    if (choice.areaId !== null) query.set('area_id', choice.areaId)
    return this.door.file(`/api/v1/channel-export?${query.toString()}`)
  }

  camera(id: string, signal?: AbortSignal): Promise<Result<Camera>> {
    return this.door.get(channelPath(id), signal)
  }

  changeCamera(id: string, patch: CameraPatch): Promise<Result<Camera>> {
    return this.door.request(channelPath(id), jsonInit('PATCH', patch))
  }

  /** For whoever manages the district. */
  device(id: string): Promise<Result<Device>> {
    return this.door.get(devicePath(id))
  }

  changeDevice(id: string, patch: Schemas['DevicePatch']): Promise<Result<Device>> {
    return this.door.request(devicePath(id), jsonInit('PATCH', patch))
  }

  versions(id: string, cursor: string | null, signal?: AbortSignal): Promise<Result<Page<Version>>> {
    const query = new URLSearchParams({ limit: '20', ...(cursor !== null && { cursor }) })
    return this.door.get(channelPath(id, `/versions?${query.toString()}`), signal)
  }

  undoVersion(version: number): Promise<Result<Version>> {
    return this.door.request(`/api/v1/channel-versions/${version}/undo`, jsonInit('POST', {}))
  }
}
