/**
 * One job of the service (a sweep, an inspection) followed to its end: looked at again and again
 * while it runs. What the service says last is shown; another job's answer is let go.
 */
import { shallowReactive } from 'vue'
import type { ApiError, Result } from '../api'

/** Jobs take seconds to minutes: their progress should be seen to move. */
export const FOLLOW_MS = 1000

export interface FollowView<T> {
  job: T | null
  busy: boolean
  /** Of the last thing that was asked for. */
  error: ApiError | null
}

export interface Job {
  readonly id: string
  readonly state: 'running' | 'done' | 'stopped'
}

export class Follower<T extends Job> {
  readonly view: FollowView<T> = shallowReactive<FollowView<T>>({ job: null, busy: false, error: null })
  private id = ''
  private abort = new AbortController()
  private timer: ReturnType<typeof setTimeout> | null = null

  /** `seen` is told of every look, before the next one is planned. */
  constructor(
    private readonly ask: (id: string, signal: AbortSignal) => Promise<Result<T>>,
    private readonly seen: (job: T, signal: AbortSignal) => Promise<void> | void = () => undefined,
  ) {}

  async open(id: string): Promise<void> {
    this.turnTo(id)
    await this.look()
  }

  /** Follows a job that was just begun. */
  async begun(job: T): Promise<void> {
    this.turnTo(job.id)
    await this.take(job)
  }

  stop(): void {
    this.abort.abort()
    if (this.timer !== null) clearTimeout(this.timer)
    this.timer = null
  }

  async look(): Promise<void> {
    const { signal } = this.abort
    const result = await this.ask(this.id, signal)
    if (signal.aborted || result.kind === 'aborted') return
    if (result.kind === 'success') return await this.take(result.value)
    this.view.error = result.error
    // A broken network, or a service that starts anew: the job goes on there.
    if (result.error.status === 0 || result.error.status >= 500) this.lookLater()
  }

  /** Something done to the job, whose answer is the job as it is then. */
  async act(ask: (id: string) => Promise<Result<T>>): Promise<void> {
    if (this.view.busy) return
    const { id } = this
    this.view.busy = true
    const result = await ask(id)
    if (id !== this.id) return
    this.view.busy = false
    if (result.kind === 'success') await this.take(result.value)
    else if (result.kind === 'error') this.view.error = result.error
  }

  private turnTo(id: string): void {
    this.stop()
    this.abort = new AbortController()
    if (id !== this.id) Object.assign(this.view, { job: null, busy: false, error: null })
    this.id = id
  }

  private async take(job: T): Promise<void> {
    const { signal } = this.abort
    Object.assign(this.view, { job, error: null })
    await this.seen(job, signal)
    if (job.state === 'running' && !signal.aborted) this.lookLater()
  }

  private lookLater(): void {
    if (this.timer !== null) clearTimeout(this.timer)
    this.timer = setTimeout(() => void this.look(), FOLLOW_MS)
  }
}
