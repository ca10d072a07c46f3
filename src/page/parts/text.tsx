/** Values of requests as text: a stranger wrote them. */
import type { JSX } from 'preact';
import { parts, plain, valueText } from '../format.ts';

/** Longer texts of a row are cut before the browser lays them out; the title has the whole. */
const MAX_IN_ROW = 300;

interface TextProps {
  readonly value: string | null | undefined;
  /** Wrapped over lines, whole. */
  readonly isBlock?: boolean;
  readonly class?: string;
}

export function Text({ value, isBlock = false, class: name = '' }: TextProps): JSX.Element {
  if (value === null || value === undefined) return <span class={`absent ${name}`}>–</span>;
  const shown = isBlock ? value : value.slice(0, MAX_IN_ROW);
  return (
    <bdi class={`${isBlock ? 'block' : 'cut'} ${name}`} title={isBlock ? undefined : plain(value)}>
      {parts(shown, isBlock).map(({ text, isUnseen }) => (isUnseen ? <mark class="unseen">{text}</mark> : text))}
    </bdi>
  );
}

const ICONS = {
  allow: 'M3.5 8.5l3 3 6-7',
  deny: 'M4 4l8 8M12 4l-8 8',
  failed: 'M8 2.5l6 11H2zM8 6.5v3.5M8 12v.2',
  error: 'M8 3v6.5M8 12.3v.4',
  shadow: 'M8 2.5a5.5 5.5 0 1 0 0 11',
  waiting: 'M8 4v4l2.5 2',
  plain: 'M3.5 8.5l3 3 6-7',
} as const;
export type Tone = keyof typeof ICONS;

/** A word with an icon of its own shape, so that colour is not needed. */
export function Badge({ tone, children }: { readonly tone: Tone; readonly children: string }): JSX.Element {
  return (
    <span class={`badge ${tone}`}>
      <svg viewBox="0 0 16 16" aria-hidden="true">
        <path d={ICONS[tone]} />
      </svg>
      <span>{children}</span>
    </span>
  );
}

/** Longer values scroll, by the keyboard too. */
const MAX_AT_ONCE = 240;
const MAX_LINES = 8;
const isLong = (text: string): boolean =>
  text.length > MAX_AT_ONCE || text.split('\n', MAX_LINES + 1).length > MAX_LINES;

/** Attribute names and their values. */
export function ValueList({ values }: { readonly values: Readonly<Record<string, unknown>> }): JSX.Element | null {
  const entries = Object.entries(values);
  if (entries.length === 0) return null;
  return (
    <dl class="values">
      {entries.map(([name, value]) => (
        <Value key={name} name={name} text={value === null || value === undefined ? null : valueText(value)} />
      ))}
    </dl>
  );
}

function Value({ name, text }: { readonly name: string; readonly text: string | null }): JSX.Element {
  return (
    <div>
      <dt>
        <Text value={name} isBlock />
      </dt>
      <dd tabIndex={text !== null && isLong(text) ? 0 : undefined}>
        {text === null ? <span class="absent">absent</span> : <Text value={text} isBlock class="mono" />}
      </dd>
    </div>
  );
}
