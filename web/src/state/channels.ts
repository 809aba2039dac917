/**
 * The list of channels under an area, a search text and a filing state, page by page (keyset cursors).
 * A newer question cancels the older one: answers can never arrive out of order.
 */
import { reactive } from 'vue'
import type { Api, ApiError, Channel, Filing } from '../api'

export const PAGE_SIZE = 50
/** Long enough that a name typed quickly is one request, short enough not to be felt. */
export const DEBOUNCE_MS = 250

export interface ChannelList {
  items: Channel[]
  total: number | null
  totalCapped: boolean
  cursor: string | null
  loading: boolean
  error: ApiError | null
}

export class ChannelFinder {
  readonly list = reactive<ChannelList>({ items: [], total: null, totalCapped: false, cursor: null, loading: true, error: null })
  private question = { q: '', areaId: null as string | null, filing: null as Filing | null }
  private abort: AbortController | null = null
  private timer: ReturnType<typeof setTimeout> | null = null

  constructor(private readonly api: Pick<Api, 'channels'>) {}

  /** Asks after the typing has paused. */
  search(q: string, areaId: string | null, filing: Filing | null = null): void {
    this.stop()
    this.list.loading = true
    this.timer = setTimeout(() => void this.ask(q, areaId, filing), DEBOUNCE_MS)
  }

  async ask(q: string, areaId: string | null, filing: Filing | null = null): Promise<void> {
    this.stop()
    this.question = { q: q.trim(), areaId, filing }
    await this.load(null)
  }

  async more(): Promise<void> {
    if (this.list.loading || this.list.cursor === null) return
    await this.load(this.list.cursor)
  }

  async retry(): Promise<void> {
    this.stop()
    await this.load(this.list.cursor)
  }

  stop(): void {
    if (this.timer !== null) clearTimeout(this.timer)
    this.timer = null
    this.abort?.abort()
    this.abort = null
  }

  private async load(cursor: string | null): Promise<void> {
    const abort = new AbortController()
    this.abort = abort
    this.list.loading = true
    this.list.error = null
    const result = await this.api.channels({ ...this.question, cursor, limit: PAGE_SIZE }, abort.signal)
    if (abort.signal.aborted || result.kind === 'aborted') return
    this.list.loading = false
    if (result.kind === 'error') {
      this.list.error = result.error
      if (cursor === null) Object.assign(this.list, { items: [], total: null, cursor: null })
      return
    }
    const { items, next_cursor: next, total, total_capped: capped } = result.value
    this.list.items = cursor === null ? [...items] : [...this.list.items, ...items]
    this.list.cursor = next
    Object.assign(this.list, { total, totalCapped: capped })
  }
}
