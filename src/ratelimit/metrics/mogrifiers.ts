/**
 * Rewrites metric names for DogStatsD and extracts tags from them (USE_DOG_STATSD_MOGRIFIERS; src/godogstats/mogrifier_map.go).
 * **In**: names of mogrifiers, and the environment. **Out**: the name and tags to send instead of a name, from the first mogrifier whose
 * pattern matches. **Fails**: never; an invalid variable is a problem that names it.
 */
import { RE2JS } from 're2js';
import { messageOf } from '../../text/message-of.ts';

export interface Mogrified {
  readonly name: string;
  readonly tags: readonly (readonly [name: string, value: string])[];
}
export type Mogrifier = (name: string) => Mogrified;

type Environment = Readonly<Record<string, string | undefined>>;
/** `undefined`: the pattern does not match. */
type Row = (name: string) => Mogrified | undefined;

export function readMogrifiers(
  names: string,
  env: Environment,
): { readonly mogrifier: Mogrifier; readonly problems: readonly string[] } {
  const problems: string[] = [];
  const rows = names.trim() === '' ? [] : names.split(',').map((name) => rowOf(name.trim(), env, problems));
  const mogrifier: Mogrifier = (name) => {
    for (const row of rows) {
      const mogrified = row(name);
      if (mogrified !== undefined) return mogrified;
    }
    return { name, tags: [] };
  };
  return { mogrifier, problems };
}

/** Variables are in upper case, regardless of the case of the mogrifier's name. */
function rowOf(mogrifier: string, env: Environment, problems: string[]): Row {
  const prefix = `DOG_STATSD_MOGRIFIER_${mogrifier.toUpperCase()}`;
  const pattern = patternOf(`${prefix}_PATTERN`, env, problems);
  const template = env[`${prefix}_NAME`] ?? '';
  if (template === '') problems.push(`${prefix}_NAME is not set; expected the new name, such as requests.$1`);
  const tags = tagsOf(`${prefix}_TAGS`, env, problems);
  return (name) => {
    const matcher = pattern.matcher(name);
    if (!matcher.find()) return undefined;
    const groups = Array.from({ length: matcher.groupCount() + 1 }, (_, at) => matcher.group(at) ?? '');
    return { name: filled(template, groups), tags: tags.map(([tag, value]) => [tag, filled(value, groups)]) };
  };
}

function patternOf(variable: string, env: Environment, problems: string[]): RE2JS {
  const text = env[variable] ?? '';
  if (text === '') problems.push(`${variable} is not set; expected a regular expression (RE2)`);
  try {
    return RE2JS.compile(text);
  } catch (error) {
    problems.push(`${variable} is "${text}"; expected a regular expression (RE2): ${messageOf(error)}`);
    return RE2JS.compile('');
  }
}

/** The last of a repeated tag wins. */
function tagsOf(
  variable: string,
  env: Environment,
  problems: string[],
): readonly (readonly [name: string, value: string])[] {
  const text = env[variable] ?? '';
  if (text.trim() === '') return [];
  const pairs = text.split(',').map((part) => part.split(':'));
  for (const [at, [name = '', value = '', ...more]] of pairs.entries()) {
    if (name === '' || value === '' || more.length > 0)
      problems.push(`${variable} has "${pairs[at]?.join(':')}"; expected TAG:VALUE, separated by commas`);
  }
  return [...new Map(pairs.map(([name = '', value = '']) => [name, value]))];
}

/** `$0`, `$1`, ... are groups; an unknown group stays as written. `$$1` is a `$` and a group: nothing is escaped. */
const filled = (template: string, groups: readonly string[]): string =>
  template.replaceAll(/\$(\d+)/g, (written, group: string) => groups[Number(group)] ?? written);
