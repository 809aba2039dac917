/**
 * The player of one channel: opens views, tells live from stale, retries.
 * A plain class: the component only mounts a `<video>` and shows `state`. Not here: HTTP and SDP
 * (`view.ts`), main or sub (`streams.ts`), delays (`reconnect.ts`, `deadlines.ts`), words (`locales`).
 */
import { Api, type Profile } from '../api'
import { Attempt } from './attempt'
import { GIVE_UP_STALE_MS, OPENING_POLL_MS, POLL_MS, SETTLED_MS } from './deadlines'
import { tendLiveFeed, tendLostFeed } from './feeds'
import { browserDeps, type PlayerDeps, type PlayerOptions } from './options'
import { Pulse } from './pulse'
import { defaultPolicy, isEndOfSignIn, isMeantEnd, isPermanent } from './reconnect'
import { Screen, type VideoLike } from './screen'
import {
  failed, monotonicNowMs, packetAtMs, type Failure, type PlayerState, type ServiceState, type Step,
  type StepMark,
} from './state'
import { Sound } from './sound'
import type { MediaSample } from './stats'
import { Streams } from './streams'
import { View } from './view'

let made = 0

export class Player {
  /** Tells players apart for as long as the page lives. */
  readonly serial = ++made
  state: PlayerState = { kind: 'idle' }
  /** Main or sub, and whether it is heard: changed in the running view. */
  readonly streams: Streams
  readonly sound: Sound
  private view: View | null = null
  private readonly screen = new Screen()
  private timer: ReturnType<typeof setTimeout> | null = null
  private failures = 0
  private attempt = new Attempt(0)
  private liveSinceMs = 0
  /** When the picture was lost first: tries in between do not make it younger. */
  private downSinceMs: number | null = null
  private pulse = new Pulse()
  private readonly deps: PlayerDeps
  private readonly nowMs: () => number

  constructor(private readonly options: PlayerOptions) {
    const { profile: wanted, profiles = ['main', 'sub'], onUnauthenticated } = options
    this.deps = options.deps ?? browserDeps
    this.nowMs = this.deps.nowMs ?? monotonicNowMs
    const api = new Api({ fetch: this.deps.fetch, ...(onUnauthenticated && { onUnauthenticated }) })
    const onChange = () => options.onState(this.state)
    this.streams = new Streams({ wanted, profiles, api, onChange })
    this.sound = new Sound({ api, onChange })
  }

  get channelId(): string {
    return this.options.channelId
  }

  /** The stream on the glass. */
  get profile(): Profile {
    return this.streams.playing
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

  attach(video: VideoLike | null): void {
    this.screen.attach(video)
  }

  /** Opens; or opens again at once after an end or a refusal, or instead of waiting for a retry. */
  open(): void {
    if (this.state.kind === 'opening' || this.state.kind === 'live') return
    this.failures = 0
    this.downSinceMs = null
    this.streams.forgive()
    this.start()
  }

  close(): void {
    this.leave()
    this.view?.close()
    this.view = null
    this.screen.show(null)
    this.set({ kind: 'idle' })
  }

  private start(tellService = true): void {
    this.leave()
    this.view?.close(tellService)
    const startedAtMs = this.nowMs()
    this.attempt = new Attempt(startedAtMs)
    this.pulse = new Pulse()
    const profile = this.streams.start()
    this.set({ kind: 'opening', step: 'offer', startedAtMs, marks: [] })
    const view: View = new View(this.options.channelId, profile, this.options.stated?.() ?? null, this.deps, {
      onLocalStep: (step) => this.current(view) && this.mark(step, null),
      onStep: (step, elapsedMs) => this.current(view) && this.mark(step, elapsedMs),
      onOpened: (viewId) => {
        if (!this.current(view)) return
        this.attempt.answeredAtMs = this.nowMs()
        this.streams.opened(viewId)
        this.sound.opened(viewId)
        this.set({ ...this.state })
      },
      onStream: (stream) => this.current(view) && this.screen.show(stream),
      onConnected: () => (this.attempt.connected ||= this.current(view)),
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
    const elapsedMs = this.attempt.elapsedMs(this.nowMs(), serviceElapsedMs)
    const before: readonly StepMark[] = state.marks.filter((mark) => mark.step !== step)
    this.set({ ...state, step, marks: [...before, { step, elapsedMs }] })
  }

  private onServiceState(word: ServiceState): void {
    if (word.state === 'ended') {
      const reason = word.reason ?? 'ended'
      if (this.streams.fallsBack(reason)) this.start(false)
      else if (isMeantEnd(reason)) this.end('ended', reason, word.detail, false)
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
      this.attempt = this.attempt.again(this.nowMs())
      this.set({ kind: 'opening', step: 'dial', startedAtMs: this.attempt.openedAtMs, marks: [] })
    }
    if (this.streams.heard(word)) this.set(this.state)
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
    } else if (this.streams.fallsBack(failure.reason)) {
      this.start()
    } else if (isPermanent(failure.reason, status)) {
      this.end('refused', failure.reason, failure.detail, true)
    } else {
      this.fail(failure)
    }
  }

  private end(kind: 'refused' | 'ended', reason: string, detail: string | null, tell: boolean): void {
    this.leave()
    this.view?.close(tell)
    this.screen.show(null)
    this.set({ kind, reason, detail, atMs: this.nowMs() })
    if (isEndOfSignIn(reason)) this.options.onSignInEnded?.()
  }

  /** This view is over; asks for another after the policy's delay. */
  private fail(failure: Failure): void {
    this.failures += 1
    const { reason, retryAfterMs, quota } = failure
    const { policy = defaultPolicy, random = Math.random } = this.deps
    const delayMs = policy({ attempt: this.failures, reason, retryAfterMs, random: random() })
    if (delayMs === null) return this.end('refused', reason, failure.detail, true)
    this.leave()
    this.view?.closeMedia()
    this.view?.listenToEvents()
    const nowMs = this.nowMs()
    this.set({
      kind: 'lost', retriedBy: 'view', reason, detail: failure.detail, step: failure.step,
      atMs: (this.downSinceMs ??= nowMs),
      retryAtMs: nowMs + delayMs, ...(quota !== undefined && { quota }),
      lastPacketAtMs: packetAtMs(this.state) ?? (this.pulse.lastPacketAtMs || null),
    })
    this.timer = setTimeout(() => this.start(), delayMs)
  }

  private schedule(delayMs: number): void {
    this.stopTimer()
    this.timer = setTimeout(() => void this.poll(), delayMs)
  }

  /** The view is over: nothing more is to be asked of it. */
  private leave(): void {
    this.stopTimer()
    this.streams.leave()
    this.sound.leave()
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
    if (sample !== null) this.sound.take(sample.soundPackets, nowMs)
    const fresh = pulse.isFresh(nowMs)
    const { lastPacketAtMs } = pulse
    switch (state.kind) {
      case 'opening':
        if (decodes) this.becomeLive(nowMs)
        else this.checkDeadlines(view, nowMs)
        break
      case 'live':
        tendLiveFeed(view, {
          crowded: this.deps.isCrowded?.() ?? true,
          expectsNews: !fresh || this.streams.change?.kind === 'awaited',
          liveForMs: nowMs - this.liveSinceMs,
        })
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
        else tendLostFeed(view, state, nowMs)
        break
    }
  }

  private becomeLive(nowMs: number): void {
    this.liveSinceMs = nowMs
    this.downSinceMs = null
    this.set({ kind: 'live', lastPacketAtMs: this.pulse.lastPacketAtMs, warning: null })
  }

  private checkDeadlines(view: View, nowMs: number): void {
    const reason = this.attempt.overdue(nowMs, this.pulse.last?.packets ?? 0)
    if (reason === null) return
    if (this.attempt.answeredAtMs === null) view.abortRequest()
    this.fail(failed(reason, this.step()))
  }

  private set(state: PlayerState): void {
    this.state = state
    this.options.onState(state)
  }
}
