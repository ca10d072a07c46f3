import { comparable, nearest } from '../../text/nearest.ts';

/** The one or two known names nearest to a misspelt one; of the same family (`request.`) if one of it is near. */
export function nearestOf(written: string, known: Iterable<string>): string[] {
  const names = [...known];
  const family = written.slice(0, written.lastIndexOf('.') + 1);
  const last = written.slice(family.length);
  const members: string[] = [];
  if (family !== '') for (const name of names) if (name.startsWith(family)) members.push(name.slice(family.length));
  const near = comparable(last, members);
  const first = nearest(last, near);
  if (first === undefined) {
    const any = nearest(written, names);
    return any === undefined ? [] : [any];
  }
  const second = nearest(
    last,
    near.filter((name) => name !== first),
  );
  return [first, ...(second === undefined ? [] : [second])].map((name) => family + name);
}
