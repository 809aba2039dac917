/** What a player is given: whom it plays, whom it tells, and the browser's parts it drives. */
import type { Profile, Stated } from '../api'
import { areThereOtherWindows } from './windows'
import type { ReconnectPolicy } from './reconnect'
import type { PlayerState } from './state'
import type { ViewDeps } from './view'

export interface PlayerDeps extends ViewDeps {
  readonly policy?: ReconnectPolicy
  readonly nowMs?: () => number
  readonly random?: () => number
  /** Whether other windows share the browser's few connections: live views then let go of feeds. */
  readonly isCrowded?: () => boolean
}

export interface PlayerOptions {
  readonly channelId: string
  /** The stream that is wanted at first; see `Streams.want`. */
  readonly profile: Profile
  /** The streams that the channel has; both, if not said. */
  readonly profiles?: readonly Profile[]
  /** What the person said that they look for; asked at each new view. */
  readonly stated?: () => Stated | null
  readonly onState: (state: PlayerState) => void
  readonly onUnauthenticated?: () => void
  /** The view ended with its sign-in, or the account: whether one is still signed in has to be asked. */
  readonly onSignInEnded?: () => void
  readonly deps?: PlayerDeps
}

export const browserDeps: PlayerDeps = {
  fetch: (input, init) => fetch(input, init),
  createPeer: () => new RTCPeerConnection(),
  createEvents: (url) => new EventSource(url),
  isCrowded: areThereOtherWindows,
}
