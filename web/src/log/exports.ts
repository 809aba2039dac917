/** Exports that two people make, as the log's view shows them: asked for, decided on, fetched. */
import { reactive } from 'vue'
import type { ApiError, Result, Stated } from '../api'
import type { ExportFormat, ExportList, ExportRequest, LogApi, LogQuery } from './api'

export interface ExportsView {
  /** Whether a second person approves an export here; null before the first answer. */
  secondPerson: boolean | null
  items: readonly ExportRequest[]
  /** Where the rest of the list begins; null: there is none. */
  cursor: string | null
  busy: boolean
  error: ApiError | null
  /** Whether the form for a new one is open, and what is said in it. */
  asking: boolean
  stated: Stated | null
  /** The one that is to be refused, and why. */
  refusing: string | null
  reason: string
}

/** What a request's row says of it: one that ran out says so, whatever it was. */
export type ExportFate = ExportRequest['state'] | 'lapsed'

export function fateOf(request: ExportRequest): ExportFate {
  const { state } = request
  const open = state === 'pending' || state === 'approved'
  return open && !request.is_open ? 'lapsed' : state
}

export class ExportDesk {
  readonly view = reactive<ExportsView>({
    secondPerson: null, items: [], cursor: null, busy: false, error: null, asking: false, stated: null, refusing: null, reason: '',
  })
  private readonly abort = new AbortController()
  private reads = 0

  constructor(private readonly api: Pick<LogApi, 'exports' | 'askForExport' | 'approve' | 'refuse' | 'fetchExport' | 'exportNow'>) {}

  async load(): Promise<void> {
    this.view.error = null
    await this.read(this.view.items.length)
  }

  /** The next page, too. */
  async more(): Promise<void> {
    this.view.error = null
    await this.read(this.view.items.length + 1)
  }

  /** The form for a new one, empty as it is drawn. */
  turnAsking(): void {
    Object.assign(this.view, { asking: !this.view.asking, stated: null })
  }

  /** Opens the question why, or closes it; what was typed for another one is not meant. */
  turnRefusing(id: string): void {
    Object.assign(this.view, { refusing: this.view.refusing === id ? null : id, reason: '' })
  }

  async ask(query: LogQuery, format: ExportFormat): Promise<void> {
    const { stated } = this.view
    if (stated === null || (await this.do(() => this.api.askForExport(query, format, stated))) === null) return
    if (this.view.asking) this.turnAsking()
  }

  async approve(id: string): Promise<boolean> {
    return (await this.do(() => this.api.approve(id))) !== null
  }

  async refuse(id: string): Promise<void> {
    const { reason } = this.view
    if ((await this.do(() => this.api.refuse(id, reason))) !== null && this.view.refusing === id) this.turnRefusing(id)
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
    await this.read(this.view.items.length)
    return result.kind === 'success' ? result.value : null
  }

  /** Pages from the first on, until `count` are there. */
  private async read(count: number): Promise<void> {
    const mine = (this.reads += 1)
    const { signal } = this.abort
    const items: ExportRequest[] = []
    let cursor: string | null = null
    do {
      const result: Result<ExportList> = await this.api.exports(cursor, signal)
      if (signal.aborted || result.kind === 'aborted' || mine !== this.reads) return
      if (result.kind === 'error') {
        this.view.error ??= result.error
        return
      }
      items.push(...result.value.items)
      cursor = result.value.next_cursor
      this.view.secondPerson = result.value.second_person
    } while (cursor !== null && items.length < count)
    Object.assign(this.view, { items, cursor })
  }
}
