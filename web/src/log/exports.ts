/** Exports that two people make, as the log's view shows them: asked for, decided on, fetched. */
import { reactive } from 'vue'
import type { ApiError, Result, Stated } from '../api'
import type { ExportFormat, ExportRequest, LogApi, LogQuery } from './api'

export interface ExportsView {
  /** Whether a second person approves an export here; null before the first answer. */
  secondPerson: boolean | null
  items: readonly ExportRequest[]
  busy: boolean
  error: ApiError | null
}

/** What a request's row says of it: one that ran out says so, whatever it was. */
export type ExportFate = ExportRequest['state'] | 'lapsed'

export function fateOf(request: ExportRequest): ExportFate {
  const { state } = request
  const open = state === 'pending' || state === 'approved'
  return open && !request.is_open ? 'lapsed' : state
}

export class ExportDesk {
  readonly view = reactive<ExportsView>({ secondPerson: null, items: [], busy: false, error: null })
  private readonly abort = new AbortController()

  constructor(private readonly api: Pick<LogApi, 'exports' | 'askForExport' | 'approve' | 'refuse' | 'fetchExport' | 'exportNow'>) {}

  async load(): Promise<void> {
    const { signal } = this.abort
    const result = await this.api.exports(signal)
    if (signal.aborted || result.kind === 'aborted') return
    if (result.kind === 'error') this.view.error = result.error
    else Object.assign(this.view, { items: result.value.items, secondPerson: result.value.second_person })
  }

  /** True when it is asked for. */
  async ask(query: LogQuery, format: ExportFormat, stated: Stated): Promise<boolean> {
    return (await this.do(() => this.api.askForExport(query, format, stated))) !== null
  }

  async approve(id: string): Promise<boolean> {
    return (await this.do(() => this.api.approve(id))) !== null
  }

  async refuse(id: string, reason: string): Promise<boolean> {
    return (await this.do(() => this.api.refuse(id, reason))) !== null
  }

  /** The file, or null where the service has none: why stands in the view, not in place of the page. */
  async fetch(id: string): Promise<Blob | null> {
    return this.do(() => this.api.fetchExport(id))
  }

  async exportNow(query: LogQuery, format: ExportFormat): Promise<Blob | null> {
    return this.do(() => this.api.exportNow(query, format))
  }

  stop(): void {
    this.abort.abort()
  }

  private async do<T>(work: () => Promise<Result<T>>): Promise<T | null> {
    if (this.view.busy) return null
    Object.assign(this.view, { busy: true, error: null })
    const result = await work()
    this.view.busy = false
    if (result.kind === 'error') this.view.error = result.error
    // Also after a refusal: somebody else may have been quicker.
    await this.load()
    return result.kind === 'success' ? result.value : null
  }
}
