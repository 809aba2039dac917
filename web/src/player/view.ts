/**
 * One WHEP view: a peer connection, its place on the service and its event feed, opened once and
 * closed once. Reports facts to its owner. Not here: states, retries, deadlines (`player.ts`).
 */
import type { Fetch, Profile, Stated } from '../api'
import { Cushion } from './cushion'
import { listen, type EventsListener, type EventSourceLike } from './events'
import { monotonicNowMs, type Failure, type Step, type Warning } from './state'
import { mediaSample, type MediaSample } from './stats'
import { deleteView, postOffer, type OpenedView } from './whep'

/** Longest wait for the service's answer to a DELETE before the peer is closed all the same. */
const GOODBYE_MS = 1_000

export interface ViewDeps {
  readonly fetch: Fetch
  readonly createPeer: () => RTCPeerConnection
  readonly createEvents: (url: string) => EventSourceLike
}

export interface ViewListener extends EventsListener {
  onLocalStep(step: Step): void
  onOpened(viewId: string): void
  onStream(stream: MediaStream): void
  /** The transport to the service is up. */
  onConnected(): void
  onFailed(failure: Omit<Failure, 'step'>, status: number): void
}

export class View {
  /** The feed was refused for good: the service, it seems, does not know this view any more. */
  isFeedGone = false
  /** The newest word of the service about the camera. */
  warning: Warning | null = null
  private peer: RTCPeerConnection | null = null
  private opened: OpenedView | null = null
  private stopEvents: (() => void) | null = null
  private readonly cushion = new Cushion()
  private readonly abort = new AbortController()
  private closed = false
  private mediaClosed = false

  constructor(
    private readonly channelId: string,
    private readonly profile: Profile,
    private readonly stated: Stated | null,
    private readonly deps: ViewDeps,
    private readonly listener: ViewListener,
  ) {}

  get viewId(): string | null {
    return this.opened?.viewId ?? null
  }

  async open(): Promise<void> {
    try {
      this.listener.onLocalStep('offer')
      const offerSdp = await this.makeOffer()
      if (this.isClosed()) return
      this.listener.onLocalStep('ask')
      const result = await postOffer(
        this.deps.fetch, this.channelId, this.profile, this.stated, offerSdp, this.abort.signal,
      )
      if (result.kind === 'aborted') return
      if (result.kind === 'error') {
        const { code, detail, retryAfterMs, status, quota } = result.error
        this.fail({ reason: code, detail, retryAfterMs, ...(quota !== undefined && { quota }) }, status)
        return
      }
      this.opened = result.value
      if (this.isClosed() || this.mediaClosed) {
        // Closed while the answer was under way: the service has a view that nobody wants.
        if (this.isClosed()) void deleteView(this.deps.fetch, result.value.viewUrl)
        return
      }
      this.listener.onOpened(result.value.viewId)
      this.listenToEvents()
      await this.peer?.setRemoteDescription({ type: 'answer', sdp: result.value.answerSdp })
      this.watchTransport()
    } catch (cause) {
      const reason = this.opened === null ? 'no_webrtc' : 'bad_answer'
      const detail = cause instanceof Error ? cause.message : null
      this.fail({ reason, detail, retryAfterMs: null }, 0)
    }
  }

  /** A call, not a field: it changes while a request is awaited. */
  private isClosed(): boolean {
    return this.closed
  }

  private async makeOffer(): Promise<string> {
    const peer = this.deps.createPeer()
    this.peer = peer
    peer.addTransceiver('video', { direction: 'recvonly' })
    // Silent until somebody asks for sound (`sound.ts`); a section cannot be added to a running view.
    peer.addTransceiver('audio', { direction: 'recvonly' })
    peer.ontrack = (event) => {
      if (event.streams[0] !== undefined) this.listener.onStream(event.streams[0])
      else this.listener.onStream(new MediaStream([event.track]))
    }
    peer.onconnectionstatechange = () => this.checkConnection()
    const offer = await peer.createOffer()
    // No wait for our own candidates: the service is ICE-lite and learns them from the checks.
    await peer.setLocalDescription(offer)
    return offer.sdp ?? ''
  }

  /** A DTLS close_notify shows only on the transport: connectionState would stay `connected`. */
  private watchTransport(): void {
    const transport = this.peer?.getReceivers()[0]?.transport
    transport?.addEventListener('statechange', () => {
      if (transport.state === 'closed') this.connectionLost()
      if (transport.state === 'failed') this.fail(blank('dtls_failed'), 0)
    })
  }

  private checkConnection(): void {
    const state = this.peer?.connectionState
    if (state === 'connected') this.listener.onConnected()
    if (state === 'failed' || state === 'closed') this.connectionLost()
  }

  private connectionLost(): void {
    this.fail(blank('connection_lost'), 0)
  }

  private fail(failure: Omit<Failure, 'step'>, status: number): void {
    if (this.closed || this.mediaClosed) return
    this.listener.onFailed(failure, status)
  }

  /** Takes up the event feed unless it is held already. */
  listenToEvents(): void {
    if (this.opened === null || this.closed || this.stopEvents !== null || this.isFeedGone) return
    const { listener } = this
    this.stopEvents = listen(this.deps.createEvents(this.opened.eventsUrl), {
      onStep: (step, elapsedMs) => listener.onStep(step, elapsedMs),
      onServiceState: (state) => {
        this.warning = state.warning
        listener.onServiceState(state)
      },
      onGone: () => {
        this.isFeedGone = true
        this.dropEvents()
        listener.onGone()
      },
    })
  }

  dropEvents(): void {
    this.stopEvents?.()
    this.stopEvents = null
  }

  async sample(): Promise<MediaSample | null> {
    const report = await this.getStats()
    const sample = report === null ? null : mediaSample(report)
    this.setCushion(this.cushion.take(sample, monotonicNowMs()))
    return sample
  }

  async getStats(): Promise<RTCStatsReport | null> {
    return this.peer === null || this.mediaClosed ? null : this.peer.getStats()
  }

  /** Lets pictures wait so long before they are shown, where the browser can. */
  private setCushion(ms: number): void {
    const receiver = this.mediaClosed ? undefined : this.peer?.getReceivers()[0]
    if (receiver === undefined || !('jitterBufferTarget' in receiver)) return
    if ((receiver.jitterBufferTarget ?? 0) !== ms) receiver.jitterBufferTarget = ms
  }

  /** Ends the media but keeps the feed: it may still say why the view ended. */
  closeMedia(): void {
    this.muteMedia()
    this.peer?.close()
  }

  private muteMedia(): void {
    this.mediaClosed = true
    if (this.peer === null) return
    this.peer.onconnectionstatechange = null
    this.peer.ontrack = null
  }

  /** Ends all of it. `tellService` is false when the service ended the view itself. */
  close(tellService = true): void {
    if (this.closed) return
    this.closed = true
    this.dropEvents()
    if (this.opened === null || !tellService) {
      this.closeMedia()
      return
    }
    // The peer says goodbye too, and faster: the service would find nothing left to delete.
    this.muteMedia()
    const closePeer = setTimeout(() => this.closeMedia(), GOODBYE_MS)
    void deleteView(this.deps.fetch, this.opened.viewUrl).finally(() => {
      clearTimeout(closePeer)
      this.closeMedia()
    })
  }

  /** Gives up on a request that is not answered. */
  abortRequest(): void {
    this.abort.abort()
  }
}

function blank(reason: string): Omit<Failure, 'step'> {
  return { reason, detail: null, retryAfterMs: null }
}
