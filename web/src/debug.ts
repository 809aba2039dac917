/**
 * A window for browser tests: with `?debug` in the address, `window.__streamhub.players` holds the
 * player on the glass of each tile, so that a test can read its statistics. Nothing else, ever.
 */
import type { Player } from './player/player'

declare global {
  interface Window {
    __streamhub?: { players: (Player | null)[] }
  }
}

export function exposePlayer(index: number, player: Player | null): void {
  if (!new URLSearchParams(window.location.search).has('debug')) return
  window.__streamhub ??= { players: [] }
  window.__streamhub.players[index] = player
}
