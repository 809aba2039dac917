/** Fakes of the browser's parts that a player drives; each is steered by the test. */
import type { PlayerDeps, PlayerOptions } from '../src/player/options'
import { Player } from '../src/player/player'
import type { PlayerState } from '../src/player/state'

export class FakeTransport {
  state = 'connected'
  private readonly listeners: (() => void)[] = []
  addEventListener(_kind: string, listener: () => void): void {
    this.listeners.push(listener)
  }
  become(state: string): void {
    this.state = state
    for (const listener of this.listeners) listener()
  }
}

export class FakePeer {
  connectionState = 'new'
  onconnectionstatechange: (() => void) | null = null
  ontrack: ((event: { streams: unknown[]; track: unknown }) => void) | null = null
  closed = false
  answer: string | null = null
  packets = 0
  decoded = 0
  lastPacketAtMs: number | null = null
  soundPackets = 0
  readonly kinds: string[] = []
  readonly transport = new FakeTransport()

  addTransceiver(kind: string): void {
    this.kinds.push(kind)
  }
  createOffer(): Promise<{ type: string; sdp: string }> {
    return Promise.resolve({ type: 'offer', sdp: 'v=0 offer' })
  }
  setLocalDescription(): Promise<void> {
    return Promise.resolve()
  }
  setRemoteDescription(answer: { sdp: string }): Promise<void> {
    if (answer.sdp === 'broken') return Promise.reject(new Error('no such line'))
    this.answer = answer.sdp
    this.ontrack?.({ streams: [{ id: 'stream' }], track: {} })
    return Promise.resolve()
  }
  getReceivers(): { transport: FakeTransport }[] {
    return [{ transport: this.transport }]
  }
  close(): void {
    this.closed = true
  }
  become(state: string): void {
    this.connectionState = state
    this.onconnectionstatechange?.()
  }
  /** A picture's packets come in and are decoded. */
  picture(): void {
    this.packets += 10
    this.decoded += 1
    this.lastPacketAtMs = performance.timeOrigin + performance.now()
  }
  getStats(): Promise<Map<string, unknown>> {
    const inbound = {
      type: 'inbound-rtp', kind: 'video', id: 'in',
      packetsReceived: this.packets, framesDecoded: this.decoded, bytesReceived: 0,
    }
    const sound = { type: 'inbound-rtp', kind: 'audio', id: 'sound', packetsReceived: this.soundPackets }
    return Promise.resolve(new Map<string, unknown>([['sound', sound], ['in', inbound]]))
  }
}

export class FakeEvents {
  readyState = 1
  closed = false
  private readonly listeners = new Map<string, (event: { data?: unknown }) => void>()
  constructor(readonly url: string) {}
  addEventListener(kind: string, listener: (event: { data?: unknown }) => void): void {
    this.listeners.set(kind, listener)
  }
  close(): void {
    this.closed = true
  }
  emit(kind: 'step' | 'state', body: object): void {
    if (!this.closed) this.listeners.get(kind)?.({ data: JSON.stringify(body) })
  }
  gone(): void {
    this.readyState = 2
    this.listeners.get('error')?.({})
  }
}

export interface Call {
  readonly method: string
  readonly url: string
  readonly init: RequestInit
}

export function created(viewId = 'v1', answer = 'v=0 answer'): Response {
  const location = `/whep/ch_1/${viewId}`
  const link = `<${location}/events>; rel="urn:ietf:params:whep:ext:core:server-sent-events"`
  return new Response(answer, { status: 201, headers: { Location: location, Link: link } })
}

export function problem(status: number, code: string, headers: Record<string, string> = {}): Response {
  return new Response(JSON.stringify({ type: 'about:blank', title: code, status, code, detail: 'why' }), {
    status, headers: { 'Content-Type': 'application/problem+json', ...headers },
  })
}

/** A player on a bench: its peers, feeds, requests and the states it went through. */
export class Bench {
  readonly peers: FakePeer[] = []
  readonly feeds: FakeEvents[] = []
  readonly calls: Call[] = []
  readonly states: PlayerState[] = []
  readonly player: Player
  unauthenticated = 0
  signInsEnded = 0
  crowded = true
  respond: (call: Call, posts: number) => Response | Promise<Response> = (_, posts) =>
    created(`v${posts}`)

  constructor(options: Partial<Pick<PlayerOptions, 'profile' | 'profiles' | 'stated'>> = {}) {
    const deps: PlayerDeps = {
      fetch: async (url, init = {}) => {
        const call = { method: init.method ?? 'GET', url, init }
        this.calls.push(call)
        if (call.method === 'DELETE') return new Response(null, { status: 200 })
        return this.respond(call, this.posts.length)
      },
      createPeer: () => {
        const peer = new FakePeer()
        this.peers.push(peer)
        return peer as unknown as RTCPeerConnection
      },
      createEvents: (url) => {
        const feed = new FakeEvents(url)
        this.feeds.push(feed)
        return feed
      },
      random: () => 0.5,
      isCrowded: () => this.crowded,
    }
    this.player = new Player({
      channelId: 'ch_1',
      profile: 'sub',
      ...options,
      deps,
      onState: (state) => this.states.push(state),
      onUnauthenticated: () => (this.unauthenticated += 1),
      onSignInEnded: () => (this.signInsEnded += 1),
    })
  }

  get posts(): Call[] {
    return this.calls.filter((call) => call.method === 'POST')
  }
  get deletes(): string[] {
    return this.calls.filter((call) => call.method === 'DELETE').map((call) => call.url)
  }
  get peer(): FakePeer {
    return last(this.peers)
  }
  get feed(): FakeEvents {
    return last(this.feeds)
  }
  get kind(): PlayerState['kind'] {
    return this.player.state.kind
  }
}

export function last<T>(items: readonly T[]): T {
  const item = items[items.length - 1]
  if (item === undefined) throw new Error('none yet')
  return item
}
