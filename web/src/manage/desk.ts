/**
 * One import on the desk: its state as the check goes on, a page of its rows, and what may be done
 * with it. What the service says last is shown; a newer question cancels the older one.
 */
import { reactive } from 'vue'
import type { ApiError, Result } from '../api'
import type { Lang } from '../i18n'
import type { ImportJob, ImportRow, ManageApi, Verdict } from './api'

/** Rows on the screen at once: a table of a hundred is quick to draw and to read. */
export const PAGE_ROWS = 100
/** A check of a few thousand rows takes seconds: its progress should be seen to move. */
export const POLL_MS = 500

export type Act = 'check' | 'apply' | 'undo' | 'discard' | 'workbook'

export interface DeskView {
  job: ImportJob | null
  rows: readonly ImportRow[]
  nextAfter: number | null
  loading: boolean
  busy: Act | null
  /** Of the last thing that was asked for. */
  error: ApiError | null
}

export type DeskApi = Pick<
  ManageApi, 'importJob' | 'importRows' | 'checkImport' | 'applyImport' | 'undoImport' | 'discardImport' | 'workbook'
>

export class ImportDesk {
  readonly view = reactive<DeskView>({ job: null, rows: [], nextAfter: null, loading: true, busy: null, error: null })
  private id = ''
  private verdict: Verdict | null = null
  private after = 0
  private abort = new AbortController()
  private timer: ReturnType<typeof setTimeout> | null = null

  constructor(private readonly api: DeskApi) {}

  /** Shows an import, or other rows of the one that is shown. */
  async open(id: string, verdict: Verdict | null, after: number): Promise<void> {
    const another = id !== this.id
    this.id = id
    this.verdict = verdict
    this.after = after
    this.stop()
    this.abort = new AbortController()
    if (another) Object.assign(this.view, { job: null, rows: [], nextAfter: null, busy: null, error: null })
    if (another || this.view.job === null || this.view.job.state === 'checking') await this.look()
    else await this.loadRows()
  }

  stop(): void {
    this.abort.abort()
    if (this.timer !== null) clearTimeout(this.timer)
    this.timer = null
  }

  /** Looks at its state anew; while it is being checked, again and again. */
  async look(): Promise<void> {
    const { signal } = this.abort
    const result = await this.api.importJob(this.id, signal)
    if (signal.aborted || result.kind === 'aborted') return
    if (result.kind === 'success') await this.take(result.value)
    else {
      Object.assign(this.view, { error: result.error, loading: false })
      // A broken network, or a service that starts anew: the check goes on there.
      if (result.error.status === 0 || result.error.status >= 500) this.lookLater()
    }
  }

  checkAgain = (): Promise<void> => this.act('check', () => this.api.checkImport(this.id))
  apply = (withoutRefused: boolean): Promise<void> => this.act('apply', () => this.api.applyImport(this.id, withoutRefused))
  undo = (): Promise<void> => this.act('undo', () => this.api.undoImport(this.id))

  /** Whether it is gone. */
  async discard(): Promise<boolean> {
    const result = await this.during('discard', () => this.api.discardImport(this.id))
    return result?.kind === 'success'
  }

  /** The file with its findings; null where it was not to be had. */
  async workbook(language: Lang): Promise<Blob | null> {
    const result = await this.during('workbook', () => this.api.workbook(this.id, language))
    return result?.kind === 'success' ? result.value : null
  }

  private async act(act: Act, ask: () => Promise<Result<ImportJob>>): Promise<void> {
    const result = await this.during(act, ask)
    if (result?.kind === 'success') await this.take(result.value)
  }

  /** Null when something else is under way, or another import was opened meanwhile. */
  private async during<T>(act: Act, ask: () => Promise<Result<T>>): Promise<Result<T> | null> {
    if (this.view.busy !== null) return null
    const { id } = this
    Object.assign(this.view, { busy: act, error: null })
    const result = await ask()
    if (id !== this.id) return null
    this.view.busy = null
    if (result.kind === 'error') this.view.error = result.error
    return result
  }

  private async take(job: ImportJob): Promise<void> {
    Object.assign(this.view, { job, error: null })
    if (job.state === 'checking') {
      Object.assign(this.view, { rows: [], nextAfter: null, loading: true })
      this.lookLater()
    } else await this.loadRows()
  }

  private lookLater(): void {
    if (this.timer !== null) clearTimeout(this.timer)
    this.timer = setTimeout(() => void this.look(), POLL_MS)
  }

  private async loadRows(): Promise<void> {
    const { signal } = this.abort
    this.view.loading = true
    const result = await this.api.importRows(this.id, this.verdict, this.after, PAGE_ROWS, signal)
    if (signal.aborted || result.kind === 'aborted') return
    this.view.loading = false
    if (result.kind === 'error') this.view.error = result.error
    else Object.assign(this.view, { rows: result.value.items, nextAfter: result.value.next_after })
  }
}

/** How many rows of a verdict there are; all of them with null. */
export function countOf(job: ImportJob, verdict: Verdict | null): number {
  if (verdict !== null) return job.counts[verdict] ?? 0
  return (['add', 'change', 'same', 'refused'] as const).reduce((sum, each) => sum + (job.counts[each] ?? 0), 0)
}

/** A state in words: of a file that was checked also whether anything in it can be applied. */
export function stateKey(job: ImportJob): `import.state.${ImportJob['state']}` | 'import.state.faulty' {
  const faulty = countOf(job, 'refused') > 0 && applyHindrance(job, true) === 'nothing'
  return faulty ? 'import.state.faulty' : `import.state.${job.state}`
}

/** Why it can't be applied as things stand; null when it can. */
export function applyHindrance(job: ImportJob, withoutRefused: boolean): 'state' | 'refused' | 'nothing' | null {
  if (job.state !== 'checked') return 'state'
  if (countOf(job, 'add') + countOf(job, 'change') === 0) return 'nothing'
  return countOf(job, 'refused') > 0 && !withoutRefused ? 'refused' : null
}
