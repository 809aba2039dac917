/** English words of the question what for. */
import type { purposeZh } from './purpose.zh'

export const purposeEn: Record<keyof typeof purposeZh, string> = {
  'purpose.ask': 'Say what you look for',
  'purpose.for': 'For these cameras:',
  'purpose.choose': 'Choose a purpose',
  'purpose.label': 'Purpose',
  'purpose.note': 'In your own words',
  'purpose.note_needed': 'In your own words (needed)',
  'purpose.note_hint': 'A case number, say; 160 characters',
  'purpose.kept': 'It is kept in the audit log.',
  'purpose.watch': 'Watch',
  'purpose.elsewhere': 'Say what for in tile {n}',
  'purpose.waits': 'Waits for a purpose',
  'purpose.no_still': 'The picture is for whoever may take stills of this camera, while it is switched on.',
  'purpose.show_still': 'Show the picture',
  'purpose.still_failed': 'There is no still: {reason}',
}
