/**
 * Whether this browser has other windows of the page open. They share six HTTP/1.1 connections, so
 * the players need to know. Once another was heard of we stay modest until a reload: a window that
 * is closed leaves no reliable sign.
 */

let others = false

/** Calls out to the other windows, and answers those that come later. */
export function announceWindow(channel: BroadcastChannel = new BroadcastChannel('streamhub.windows')): void {
  channel.onmessage = (event: MessageEvent<unknown>) => {
    others = true
    if (event.data === 'hello') channel.postMessage('here')
  }
  channel.postMessage('hello')
}

export function areThereOtherWindows(): boolean {
  return others
}
