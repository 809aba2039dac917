/**
 * The player of one channel at one profile: opens views, tells live from stale, retries.
 * A plain class: the component only mounts a `<video>` and shows `state`. Not here: HTTP and SDP
 * (`view.ts`), delays (`reconnect.ts`, `deadlines.ts`), words (`locales`).
 */
import type { Profile } from '../api'
import {
  FEED_RELEASE_MS, GIVE_UP_STALE_MS, isFeedDue, OPENING_POLL_MS, overdue, POLL_MS, SETTLED_MS,
} from './deadlines'
import { browserDeps, type PlayerDeps, type PlayerOptions } from './options'
import { Pulse } from './pulse'
import { defaultPolicy, isMeantEnd, isPermanent } from './reconnect'
import {
  failed, monotonicNowMs, packetAtMs, type Failure, type PlayerState, type ServiceState, type Step,
  type StepMark,
} from './state'
import type { MediaSample } from './stats'
import { View } from './view'

let made = 0

export class Player {
  /** Tells players apart for as long as the page lives. */
  readonly serial = ++made
  state: PlayerState = { kind: 'idle' }
  private view: View | null = null
  private video: { srcObject: MediaProvider | null } | null = null
  private stream: MediaStream | null = null
  private timer: ReturnType<typeof setTimeout> | null = null
  private failures = 0
  private openedAtMs = 0
  private answeredAtMs: number | null = null
  private connected = false
  /** The service counts elapsed time from the view's start: of no use once it dialled again. */
  private redialled = false
  private liveSinceMs = 0
  /** When the picture was lost first: tries in between do not make it younger. */
  private downSinceMs: number | null = null
  private pulse = new Pulse()
  private readonly deps: PlayerDeps
  private readonly nowMs: () => number

  constructor(private readonly options: PlayerOptions) {
    this.deps = options.deps ?? browserDeps
    this.nowMs = this.deps.nowMs ?? monotonicNowMs
  }

  get channelId(): string {
    return this.options.channelId
  }

  get profile(): Profile {
    return this.options.profile
  }

  get viewId(): string | null {
    return this.view?.viewId ?? null
  }

  get sample(): MediaSample | null {
    return this.pulse.last
  }

  async getStats(): Promise<RTCStatsReport | null> {
    return (await this.view?.getStats()) ?? null
  }

  attach(video: { srcObject: MediaProvider | null } | null): void {
    this.video = video
    if (video !== null && this.stream !== null) video.srcObject = this.stream
  }

  /** Opens; or opens again at once after an end or a refusal, or instead of waiting for a retry. */
  open(): void {
    if (this.state.kind === 'opening' || this.state.kind === 'live') return
    this.failures = 0
    this.downSinceMs = null
    this.start()
  }

  close(): void {
    this.stopTimer()
    this.view?.close()
    this.view = null
    this.clearPicture()
    this.set({ kind: 'idle' })
  }

  private start(): void {
    this.stopTimer()
    this.view?.close()
    this.openedAtMs = this.nowMs()
    this.answeredAtMs = null
    this.connected = false
    this.redialled = false
    this.pulse = new Pulse()
    this.set({ kind: 'opening', step: 'offer', startedAtMs: this.openedAtMs, marks: [] })
    const view: View = new View(this.options.channelId, this.options.profile, this.deps, {
      onLocalStep: (step) => this.current(view) && this.mark(step, null),
      onStep: (step, elapsedMs) => this.current(view) && this.mark(step, elapsedMs),
      onOpened: () => {
        if (!this.current(view)) return
        this.answeredAtMs = this.nowMs()
        this.set({ ...this.state })
      },
      onStream: (stream) => {
        if (!this.current(view)) return
        this.stream = stream
        if (this.video !== null) this.video.srcObject = stream
      },
      onConnected: () => (this.connected ||= this.current(view)),
      onServiceState: (state) => this.current(view) && this.onServiceState(state),
      onGone: () => this.current(view) && this.onGone(),
      onFailed: (failure, status) => {
        if (this.current(view)) this.onFailed({ ...failure, step: this.step() }, status)
      },
    })
    this.view = view
    void view.open()
    this.schedule(OPENING_POLL_MS)
  }

  private current(view: View): boolean {
    return this.view === view && this.state.kind !== 'idle'
  }

  private awaitsRetry(): boolean {
    return this.state.kind === 'lost' && this.state.retriedBy === 'view'
  }

  private step(): Step | null {
    return this.state.kind === 'opening' ? this.state.step : null
  }

  private mark(step: Step, serviceElapsedMs: number | null): void {
    const { state } = this
    if (state.kind !== 'opening') return
    const ownElapsedMs = this.nowMs() - state.startedAtMs
    const elapsedMs = this.redialled ? ownElapsedMs : (serviceElapsedMs ?? ownElapsedMs)
    const before: readonly StepMark[] = state.marks.filter((mark) => mark.step !== step)
    this.set({ ...state, step, marks: [...before, { step, elapsedMs: Math.max(0, elapsedMs) }] })
  }

  private onServiceState(word: ServiceState): void {
    if (word.state === 'ended') {
      const reason = word.reason ?? 'ended'
      if (isMeantEnd(reason)) this.end('ended', reason, word.detail, false)
      else this.fail(failed(reason, this.step(), word.detail))
      return
    }
    // While this page awaits its own retry only the end of the old view is news.
    if (this.awaitsRetry()) return
    if (word.state === 'lost') {
      this.set({
        kind: 'lost', retriedBy: 'camera', reason: word.reason ?? 'lost', detail: word.detail,
        atMs: (this.downSinceMs ??= this.nowMs()),
        step: word.step ?? this.step(),
        retryAtMs: word.retryInMs === null ? null : this.nowMs() + word.retryInMs,
        lastPacketAtMs: this.pulse.lastPacketAtMs || null,
      })
    } else if (word.state === 'opening' && this.state.kind === 'lost') {
      this.openedAtMs = this.nowMs()
      this.redialled = true
      this.set({ kind: 'opening', step: 'dial', startedAtMs: this.openedAtMs, marks: [] })
    }
  }

  private onGone(): void {
    // A picture that flows needs no feed; without one, only a new request tells what is the matter.
    if (this.state.kind === 'live') return
    if (this.awaitsRetry()) return
    this.fail(failed('view_gone', this.step()))
  }

  private onFailed(failure: Failure, status: number): void {
    if (status === 401) {
      this.end('refused', 'unauthenticated', failure.detail, true)
      this.options.onUnauthenticated?.()
    } else if (isPermanent(failure.reason, status)) {
      this.end('refused', failure.reason, failure.detail, true)
    } else {
      this.fail(failure)
    }
  }

  private end(kind: 'refused' | 'ended', reason: string, detail: string | null, tell: boolean): void {
    this.stopTimer()
    this.view?.close(tell)
    this.clearPicture()
    this.set({ kind, reason, detail, atMs: this.nowMs() })
  }

  private clearPicture(): void {
    this.stream = null
    if (this.video !== null) this.video.srcObject = null
  }

  /** This view is over; asks for another after the policy's delay. */
  private fail(failure: Failure): void {
    this.failures += 1
    const { reason, retryAfterMs } = failure
    const { policy = defaultPolicy, random = Math.random } = this.deps
    const delayMs = policy({ attempt: this.failures, reason, retryAfterMs, random: random() })
    if (delayMs === null) return this.end('refused', reason, failure.detail, true)
    this.stopTimer()
    this.view?.closeMedia()
    this.view?.listenToEvents()
    const nowMs = this.nowMs()
    this.set({
      kind: 'lost', retriedBy: 'view', reason, detail: failure.detail, step: failure.step,
      atMs: (this.downSinceMs ??= nowMs),
      retryAtMs: nowMs + delayMs,
      lastPacketAtMs: packetAtMs(this.state) ?? (this.pulse.lastPacketAtMs || null),
    })
    this.timer = setTimeout(() => this.start(), delayMs)
  }

  private schedule(delayMs: number): void {
    this.stopTimer()
    this.timer = setTimeout(() => void this.poll(), delayMs)
  }

  private stopTimer(): void {
    if (this.timer !== null) clearTimeout(this.timer)
    this.timer = null
  }

  private async poll(): Promise<void> {
    const { view } = this
    if (view === null) return
    const sample = await view.sample().catch(() => null)
    if (!this.current(view) || this.awaitsRetry()) return
    this.judge(view, sample)
    const { kind } = this.state
    if (kind === 'idle' || kind === 'refused' || kind === 'ended' || this.awaitsRetry()) return
    this.schedule(kind === 'opening' ? OPENING_POLL_MS : POLL_MS)
  }

  /** Media is the truth about live and stale; the service's word is the truth about why. */
  private judge(view: View, sample: MediaSample | null): void {
    const nowMs = this.nowMs()
    const { pulse, state } = this
    const decodes = pulse.take(sample, nowMs)
    const fresh = pulse.isFresh(nowMs)
    const { lastPacketAtMs } = pulse
    switch (state.kind) {
      case 'opening':
        if (decodes) this.becomeLive(nowMs)
        else this.checkDeadlines(view, nowMs)
        break
      case 'live':
        this.tendLiveFeed(view, nowMs)
        if (nowMs - this.liveSinceMs >= SETTLED_MS) this.failures = 0
        this.set(fresh ? { kind: 'live', lastPacketAtMs, warning: view.warning } : { kind: 'stale', lastPacketAtMs })
        break
      case 'stale':
        if (fresh) this.becomeLive(nowMs)
        else if (view.isFeedGone) this.onGone()
        else if (nowMs - lastPacketAtMs > GIVE_UP_STALE_MS) this.fail(failed('media_stopped', null))
        break
      case 'lost':
        // Stragglers of before the loss do not count: only what was sent well after it.
        if (decodes && lastPacketAtMs > state.atMs + POLL_MS) this.becomeLive(nowMs)
        else this.tendFeed(view, state.retryAtMs, state.atMs, nowMs)
        break
    }
  }

  private becomeLive(nowMs: number): void {
    this.liveSinceMs = nowMs
    this.downSinceMs = null
    this.set({ kind: 'live', lastPacketAtMs: this.pulse.lastPacketAtMs, warning: null })
  }

  private tendLiveFeed(view: View, nowMs: number): void {
    const crowded = this.deps.isCrowded?.() ?? true
    if (!crowded || !this.pulse.isFresh(nowMs)) view.listenToEvents()
    else if (nowMs - this.liveSinceMs >= FEED_RELEASE_MS) view.dropEvents()
  }

  /** Between the camera's tries there is nothing to hear: the feed is held only around them. */
  private tendFeed(view: View, retryAtMs: number | null, atMs: number, nowMs: number): void {
    if (isFeedDue(retryAtMs, atMs, nowMs)) view.listenToEvents()
    else view.dropEvents()
  }

  private checkDeadlines(view: View, nowMs: number): void {
    const { openedAtMs, answeredAtMs, connected } = this
    const packets = this.pulse.last?.packets ?? 0
    const reason = overdue({ nowMs, openedAtMs, answeredAtMs, connected, packets })
    if (reason === null) return
    if (answeredAtMs === null) view.abortRequest()
    this.fail(failed(reason, this.step()))
  }

  private set(state: PlayerState): void {
    this.state = state
    this.options.onState(state)
  }
}
