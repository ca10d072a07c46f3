import { nearest } from '../attributes/nearest.ts';

/** The one or two known names that someone most likely meant. */
export function nearestOf(written: string, known: Iterable<string>): string[] {
  const names = [...known];
  const first = nearest(written, names);
  if (first === undefined) return [];
  const second = nearest(written, names.filter((name) => name !== first));
  return second === undefined || second.split('.')[0] !== first.split('.')[0] ? [first] : [first, second];
}
