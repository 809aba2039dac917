/**
 * What the log's view shows: the pages of one question so far. A newer question cancels the older.
 */
import { reactive } from 'vue'
import type { ApiError, Result } from '../api'
import type { LogApi, LogQuery, LogRow, Look, LookPage, RowPage } from './api'

export interface BookView {
  /** Null before the first answer to the question. */
  rows: readonly LogRow[] | null
  looks: readonly Look[] | null
  open: readonly Look[]
  cursor: string | null
  loading: boolean
  error: ApiError | null
}

export class LogBook {
  readonly view = reactive<BookView>({ rows: null, looks: null, open: [], cursor: null, loading: false, error: null })
  private abort = new AbortController()
  private query: LogQuery | null = null
  private all = false
  /** Whether pages were added to the first. */
  private grown = false

  constructor(private readonly api: Pick<LogApi, 'rows' | 'looks'>) {}

  /** Asks anew; `all`: every act, else views and stills alone. Null: no question, and no rows of the one before. */
  async ask(query: LogQuery | null, all: boolean): Promise<void> {
    this.query = query
    this.all = all
    Object.assign(this.view, { rows: null, looks: null, open: [], cursor: null, error: null })
    this.grown = false
    await this.load(null)
  }

  async more(): Promise<void> {
    if (this.view.cursor === null || this.view.loading) return
    await this.load(this.view.cursor)
  }

  /** The same question once more: rows are written behind what they tell of. What was added to the first page stays. */
  async again(): Promise<void> {
    if (!this.grown && !this.view.loading) await this.load(null)
  }

  stop(): void {
    this.abort.abort()
  }

  private async load(cursor: string | null): Promise<void> {
    this.abort.abort()
    this.abort = new AbortController()
    const { signal } = this.abort
    this.view.loading = this.query !== null
    if (this.query === null) return
    if (this.all) {
      const result = await this.api.rows(this.query, cursor, signal)
      if (signal.aborted) return
      if (result.kind === 'success') this.view.rows = added(cursor, this.view.rows, result.value.items)
      this.took(cursor, result)
    } else {
      const result = await this.api.looks(this.query, cursor, signal)
      if (signal.aborted) return
      if (result.kind === 'success') {
        this.view.looks = added(cursor, this.view.looks, result.value.items)
        if (cursor === null) this.view.open = result.value.open
      }
      this.took(cursor, result)
    }
  }

  /** After an error the same page can be asked for again. */
  private took(cursor: string | null, result: Result<RowPage | LookPage>): void {
    Object.assign(this.view, { error: result.kind === 'error' ? result.error : null, loading: false })
    if (result.kind !== 'success') return
    this.view.cursor = result.value.next_cursor
    if (cursor !== null) this.grown = true
  }
}

/** A first page stands for all that was there. */
function added<T>(cursor: string | null, before: readonly T[] | null, page: readonly T[]): readonly T[] {
  return cursor === null ? page : [...(before ?? []), ...page]
}
