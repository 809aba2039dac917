/**
 * Sweeps for cameras: what is asked of the service, the form's texts as an order, and one sweep on
 * the desk with what it found. The shapes are those of docs/api.md.
 */
import { shallowReactive } from 'vue'
import { jsonInit, type Api, type ApiError, type Result } from '../api'
import type { ImportJob, Page } from './api'
import { Follower, type Job } from './follow'

/** Devices on the screen at once, while it runs and at first. */
export const FOUND_PAGE = 200
/** Where ONVIF is usually answered; the service's own default. */
export const USUAL_PORTS = '80, 8000, 2020, 8899'
const MAX_PORT = 65_535
const MAX_NAME_CHARS = 60

export interface Sweep extends Job {
  readonly created_at: string
  readonly created_by: string | null
  readonly networks: readonly string[]
  readonly ports: readonly number[]
  readonly interfaces: readonly string[]
  /** Addresses and ports to ask; 0 until something has answered. */
  readonly total: number
  readonly done: number
  readonly found: number
  readonly described: number
}

export interface FoundDevice {
  readonly host: string
  readonly port: number
  readonly state: 'described' | 'refused'
  readonly registered: boolean
  readonly code: string | null
  readonly sentence: string | null
  readonly manufacturer: string | null
  readonly model: string | null
  readonly serial: string | null
  readonly clock_offset_s: number | null
  readonly credential_set: string | null
  readonly channels: readonly { readonly token: string; readonly name: string }[]
  readonly notes: readonly string[]
  /** The notes' codes, in their order. */
  readonly note_codes: readonly string[]
}

export interface FoundPage {
  readonly items: readonly FoundDevice[]
  readonly next_after: string | null
}

export interface Login {
  username: string
  password: string
}

export interface SweepOrder {
  readonly networks: readonly string[]
  /** The service's own addresses to probe from by multicast (WS-Discovery). */
  readonly interfaces: readonly string[]
  readonly ports: readonly number[]
  readonly credentials: readonly { readonly name: string; readonly username: string; readonly password: string }[]
  /** Devices that refused passwords before are tried again. */
  readonly try_again: boolean
}

/** One of the service's machine. */
export interface NetworkInterface {
  readonly name: string
  readonly address: string
  readonly network: string
}

export interface FoundChoice {
  readonly area: string | null
  readonly device_class: string
}

const SWEEPS = '/api/v1/sweeps'
const sweepPath = (id: string, part = '') => `${SWEEPS}/${encodeURIComponent(id)}${part}`

export class SweepApi {
  constructor(private readonly door: Api) {}

  sweeps(limit: number): Promise<Result<Page<Sweep>>> {
    return this.door.get(`${SWEEPS}?limit=${limit}`)
  }

  interfaces(): Promise<Result<{ readonly items: readonly NetworkInterface[] }>> {
    return this.door.get(`${SWEEPS}/interfaces`)
  }

  begin(order: SweepOrder): Promise<Result<Sweep>> {
    return this.door.request(SWEEPS, jsonInit('POST', order))
  }

  sweep(id: string, signal?: AbortSignal): Promise<Result<Sweep>> {
    return this.door.get(sweepPath(id), signal)
  }

  found(id: string, after: string, signal?: AbortSignal): Promise<Result<FoundPage>> {
    const query = new URLSearchParams({ after, limit: String(FOUND_PAGE) })
    return this.door.get(sweepPath(id, `/devices?${query.toString()}`), signal)
  }

  stop(id: string): Promise<Result<Sweep>> {
    return this.door.request(sweepPath(id, '/stop'), jsonInit('POST', {}))
  }

  goOn(id: string): Promise<Result<Sweep>> {
    return this.door.request(sweepPath(id, '/go-on'), jsonInit('POST', {}))
  }

  importFound(id: string, choice: FoundChoice): Promise<Result<ImportJob>> {
    return this.door.request(sweepPath(id, '/import'), jsonInit('POST', choice))
  }

  discard(id: string): Promise<Result<null>> {
    return this.door.request(sweepPath(id), { method: 'DELETE' })
  }
}

/** Null for a port that is none. Rows without a user name are left out. */
export function orderOf(networks: string, interfaces: readonly string[], ports: string, logins: readonly Login[], tryAgain = false): SweepOrder | null {
  const numbers = words(ports).map(Number)
  if (numbers.length === 0 || numbers.some((each) => !Number.isInteger(each) || each < 1 || each > MAX_PORT)) return null
  const given = logins.filter((each) => each.username.trim() !== '')
  return {
    networks: words(networks),
    interfaces,
    ports: numbers,
    try_again: tryAgain,
    // Numbered: the same user name may come with two passwords, and a set is known by its name.
    credentials: given.map(({ username, password }, index) => ({
      name: `${index + 1}: ${username.trim()}`.slice(0, MAX_NAME_CHARS), username: username.trim(), password,
    })),
  }
}

/** By spaces, lines and commas, Chinese ones too. */
function words(text: string): string[] {
  return text.split(/[\s,;，；、]+/).filter((each) => each !== '')
}

/** Seconds as the largest unit that says enough. */
export function duration(seconds: number): { readonly n: number; readonly unit: 's' | 'min' | 'h' } {
  const away = Math.abs(seconds)
  if (away < 120) return { n: Math.round(away), unit: 's' }
  return away < 7200 ? { n: Math.round(away / 60), unit: 'min' } : { n: Math.round(away / 3600), unit: 'h' }
}

/** By number: the service's own order is that of texts, 10.0.0.10 before 10.0.0.9. */
export function byAddress(one: FoundDevice, other: FoundDevice): number {
  return one.host.localeCompare(other.host, 'en', { numeric: true }) || one.port - other.port
}

export class SweepDesk {
  readonly follower: Follower<Sweep>
  readonly found = shallowReactive<{ items: readonly FoundDevice[]; nextAfter: string | null; loading: boolean; error: ApiError | null }>({
    items: [], nextAfter: null, loading: false, error: null,
  })
  private asked = 0

  constructor(private readonly api: Pick<SweepApi, 'sweep' | 'found' | 'stop' | 'goOn'>) {
    this.follower = new Follower((id, signal) => api.sweep(id, signal), (sweep, signal) => this.load(sweep.id, '', signal))
  }

  async open(id: string): Promise<void> {
    this.asked += 1
    Object.assign(this.found, { items: [], nextAfter: null, loading: false, error: null })
    await this.follower.open(id)
  }

  halt = (): Promise<void> => this.follower.act((id) => this.api.stop(id))
  goOn = (): Promise<void> => this.follower.act((id) => this.api.goOn(id))

  /** Those behind what is shown, once it has ended. */
  async more(): Promise<void> {
    const { job } = this.follower.view
    const { nextAfter, loading } = this.found
    if (job !== null && job.state !== 'running' && nextAfter !== null && !loading) await this.load(job.id, nextAfter)
  }

  /** An answer behind a newer question's, or for another sweep, is let go. */
  private async load(id: string, after: string, signal?: AbortSignal): Promise<void> {
    const mine = (this.asked += 1)
    this.found.loading = true
    const result = await this.api.found(id, after, signal)
    if (mine !== this.asked) return
    this.found.loading = false
    if (signal?.aborted || result.kind === 'aborted') return
    if (result.kind === 'error') this.found.error = result.error
    else {
      const items = after === '' ? result.value.items : [...this.found.items, ...result.value.items]
      Object.assign(this.found, { items: [...items].sort(byAddress), nextAfter: result.value.next_after, error: null })
    }
  }
}
