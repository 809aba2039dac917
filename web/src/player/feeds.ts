/** When a view holds its event feed: all windows of a browser share few connections (`events.ts`). */
import { FEED_RELEASE_MS, isFeedDue } from './deadlines'

interface Feed {
  listenToEvents(): void
  dropEvents(): void
}

export interface LiveFacts {
  /** Other windows share the connections. */
  readonly crowded: boolean
  /** Something is to be heard: the picture stopped, or another stream is to come. */
  readonly expectsNews: boolean
  readonly liveForMs: number
}

/** Of a live view: with room always, else only while there is something to hear. */
export function tendLiveFeed(feed: Feed, { crowded, expectsNews, liveForMs }: LiveFacts): void {
  if (!crowded || expectsNews) feed.listenToEvents()
  else if (liveForMs >= FEED_RELEASE_MS) feed.dropEvents()
}

/** Of a lost camera: between its tries there is nothing to hear. */
export function tendLostFeed(feed: Feed, lost: { retryAtMs: number | null; atMs: number }, nowMs: number): void {
  if (isFeedDue(lost.retryAtMs, lost.atMs, nowMs)) feed.listenToEvents()
  else feed.dropEvents()
}
