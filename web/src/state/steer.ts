/**
 * Steering a camera: moves while something is held, and says stop when it is let go. The service
 * stops the camera by itself when this falls silent. Not here: the pad's buttons (`PtzPad`).
 */
import { jsonInit, purposeHeaders, type Api, type ApiError, type Result, type Stated } from '../api'
import type { components } from '../openapi'
import { asksWhatFor } from './purpose'

/** -1 to 1 each; pan to the right, tilt up and zoom in are positive. */
export interface Velocity {
  readonly pan: number
  readonly tilt: number
  readonly zoom: number
}

type Schemas = components['schemas']
export type Acted = Schemas['ActedOut']
export type Preset = Schemas['PresetOut']
export type Act = Schemas['Move' | 'GoToPreset' | 'Take' | 'Stop' | 'Release']

type Ask = Pick<Api, 'request'>

/** Three within the 750 ms after which the service stops the camera. */
export const REPEAT_MS = 250

export class PtzApi {
  private readonly path: string

  constructor(
    private readonly api: Ask,
    channelId: string,
    private readonly stated: () => Stated | null = () => null,
    /** What was said is not taken any longer: steering asks for nothing, but takes no purpose that there is not. */
    private readonly onUntaken: () => void = () => undefined,
  ) {
    this.path = `/api/v1/channels/${encodeURIComponent(channelId)}/ptz`
  }

  async act(act: Act): Promise<Result<Acted>> {
    return this.ask(this.path, jsonInit('POST', act))
  }

  async presets(signal?: AbortSignal): Promise<Result<Schemas['PresetList']>> {
    return this.ask(`${this.path}/presets`, { headers: { Accept: 'application/json' }, ...(signal && { signal }) })
  }

  private async ask<T>(path: string, init: RequestInit): Promise<Result<T>> {
    const headers = { ...(init.headers as Record<string, string>), ...purposeHeaders(this.stated()) }
    const result = await this.api.request<T>(path, { ...init, headers })
    if (result.kind === 'error' && asksWhatFor(result.error.code)) this.onUntaken()
    return result
  }
}

/** One request at a time: a slow camera is not asked again before it has answered. */
export class Hold {
  private wanted: Velocity | null = null
  private running = false
  private wake: (() => void) | null = null

  constructor(
    private readonly ptz: Pick<PtzApi, 'act'>,
    private readonly onError: (error: ApiError | null) => void,
  ) {}

  get held(): boolean {
    return this.wanted !== null
  }

  /** Move like this from now on, until `release`. */
  press(velocity: Velocity): void {
    this.wanted = velocity
    this.wake?.()
    if (!this.running) void this.run()
  }

  release(): void {
    this.wanted = null
    this.wake?.()
  }

  private async run(): Promise<void> {
    this.running = true
    do await this.once()
    while (this.held)
    this.running = false
  }

  /** One move from its first request to the stop; who presses meanwhile waits for the stop. */
  private async once(): Promise<void> {
    while (this.wanted !== null) {
      const { pan, tilt, zoom } = this.wanted
      // An axis that stays is left out: some cameras stop the others for a zero.
      const turns = pan !== 0 || tilt !== 0
      const done = await this.ptz.act({ act: 'move', ...(turns && { pan, tilt }), ...(zoom !== 0 && { zoom }) })
      this.onError(done.kind === 'error' ? done.error : null)
      if (done.kind !== 'success') this.wanted = null
      // Somebody else's camera is not ours to stop.
      if (done.kind === 'error' && done.error.code === 'ptz_held') return
      if (this.wanted !== null) await this.pause()
    }
    const stopped = await this.ptz.act({ act: 'stop' })
    if (stopped.kind === 'error') this.onError(stopped.error)
  }

  private async pause(): Promise<void> {
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, REPEAT_MS)
      this.wake = () => {
        clearTimeout(timer)
        resolve()
      }
    })
    this.wake = null
  }
}

const KEYS: Readonly<Record<string, Partial<Velocity>>> = {
  ArrowLeft: { pan: -1 },
  ArrowRight: { pan: 1 },
  ArrowUp: { tilt: 1 },
  ArrowDown: { tilt: -1 },
  '+': { zoom: 1 },
  '=': { zoom: 1 },
  '-': { zoom: -1 },
}

export function isSteeringKey(key: string): boolean {
  return key in KEYS
}

/** Where the keys that are down lead to; null: nowhere. */
export function velocityOf(keys: Iterable<string>, speed: number): Velocity | null {
  const sum = { pan: 0, tilt: 0, zoom: 0 }
  for (const key of keys) {
    const one = KEYS[key]
    sum.pan += one?.pan ?? 0
    sum.tilt += one?.tilt ?? 0
    sum.zoom += one?.zoom ?? 0
  }
  const clamp = (n: number) => Math.max(-1, Math.min(1, n)) * speed
  const velocity = { pan: clamp(sum.pan), tilt: clamp(sum.tilt), zoom: clamp(sum.zoom) }
  return velocity.pan === 0 && velocity.tilt === 0 && velocity.zoom === 0 ? null : velocity
}
