/**
 * Why somebody may do something to a camera, and who may: two questions, each with its own answer. An
 * answer is of what was asked last; what it was asked about may be another by the time it comes.
 */
import { reactive } from 'vue'
import type { ApiError, Result } from '../api'
import type { Able, Action, Explanation, PeopleApi } from './people'

export interface WhyView {
  told: Explanation | null
  able: readonly Able[] | null
  total: number
  /** There are more who may. */
  next: string | null
  refused: ApiError | null
  asking: boolean
  listing: boolean
}

export class WhyDesk {
  readonly view = reactive<WhyView>({ told: null, able: null, total: 0, next: null, refused: null, asking: false, listing: false })
  private asked = new AbortController()
  private listed = new AbortController()
  /** The camera that `able` is of. */
  private listedOf: string | null = null

  constructor(private readonly api: Pick<PeopleApi, 'explain' | 'whoCan'>) {}

  async ask(channelId: string, subject: string, action: Action): Promise<void> {
    this.forgetAnswer()
    const { signal } = this.asked
    this.view.asking = true
    const result = await this.api.explain(channelId, subject, action, signal)
    if (signal.aborted) return
    this.view.asking = false
    this.view.told = this.take(result)
  }

  async list(channelId: string): Promise<void> {
    this.forgetList()
    this.listedOf = channelId
    await this.load()
  }

  async more(): Promise<void> {
    if (this.view.next !== null && !this.view.listing) await this.load()
  }

  /** Another person, camera or right stands in the form. */
  forgetAnswer(): void {
    this.asked.abort()
    this.asked = new AbortController()
    Object.assign(this.view, { told: null, refused: null, asking: false })
  }

  /** Another camera stands in the form. */
  forgetList(): void {
    this.listed.abort()
    this.listed = new AbortController()
    this.listedOf = null
    Object.assign(this.view, { able: null, total: 0, next: null, listing: false })
  }

  private async load(): Promise<void> {
    if (this.listedOf === null) return
    const { signal } = this.listed
    this.view.listing = true
    const result = await this.api.whoCan(this.listedOf, this.view.next, signal)
    if (signal.aborted) return
    this.view.listing = false
    const page = this.take(result)
    if (page === null) return
    Object.assign(this.view, { able: [...(this.view.able ?? []), ...page.items], total: page.total, next: page.next_cursor })
  }

  private take<T>(result: Result<T>): T | null {
    this.view.refused = result.kind === 'error' ? result.error : null
    return result.kind === 'success' ? result.value : null
  }
}
