/** Names of indexes, by a template with the UTC date of a report: `access-{yyyy.MM.dd}`. */

const PATTERN = /\{([^{}]*)\}/g;
const DATE = /^[yMdH.\-_]+$/;
/** Elasticsearch refuses others. */
const NAME = /^(?![-_+.])[^A-Z\\/*?"<>|\s,#:{}]{1,200}$/;

/** Why this is no template, or undefined. */
export function indexProblem(template: string): string | undefined {
  for (const [, pattern = ''] of template.matchAll(PATTERN))
    if (!DATE.test(pattern)) return `{${pattern}} is not a date; write yyyy, MM, dd and HH, as in {yyyy.MM.dd}`;
  if (NAME.test(template.replaceAll(PATTERN, '0'))) return undefined;
  return 'an index has lower-case letters and no spaces or \\ / * ? " < > | , # : { }, and does not begin with - _ + .';
}

/** Reports in a row mostly have the same hour, so the last name is kept. */
export function indexNamer(template: string): (timeMs: number) => string {
  if (!template.includes('{')) return () => template;
  let lastHour = NaN;
  let last = '';
  return (timeMs) => {
    const hour = Math.floor(timeMs / 3_600_000);
    if (hour === lastHour) return last;
    const [year = '', month = '', day = '', hours = ''] = new Date(timeMs).toISOString().split(/[-T:]/);
    const parts: Readonly<Record<string, string>> = { yyyy: year, MM: month, dd: day, HH: hours };
    lastHour = hour;
    return (last = template.replaceAll(PATTERN, (_, pattern: string) =>
      pattern.replaceAll(/yyyy|MM|dd|HH/g, (part) => parts[part] as string),
    ));
  };
}
