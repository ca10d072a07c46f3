/** `#/rules?q=shadow`: the view, and what it shows. */
import { signal } from '@preact/signals';

export const VIEWS = [
  { name: 'decisions', title: 'Live decisions', short: 'Decisions', key: 'd' },
  { name: 'rules', title: 'Rules', short: 'Rules', key: 'r' },
  { name: 'limits', title: 'Limits', short: 'Limits', key: 'l' },
  { name: 'handlers', title: 'Handlers', short: 'Handlers', key: 'h' },
  { name: 'policy', title: 'Policy', short: 'Policy', key: 'p' },
  { name: 'candidate', title: 'Candidate', short: 'Candidate', key: 'c' },
  { name: 'playground', title: 'Playground', short: 'Playground', key: 'y' },
] as const;
export type ViewName = (typeof VIEWS)[number]['name'];

export interface Route {
  readonly view: ViewName;
  readonly query: Readonly<Record<string, string>>;
}

function read(hash: string): Route {
  const [path = '', query = ''] = hash.replace(/^#\/?/, '').split('?', 2);
  const view = VIEWS.find(({ name }) => name === path)?.name ?? 'decisions';
  return { view, query: Object.fromEntries(new URLSearchParams(query)) };
}

export const route = signal<Route>(read(location.hash));
addEventListener('hashchange', () => {
  route.value = read(location.hash);
});

export function linkTo(view: ViewName, query: Readonly<Record<string, string | undefined>> = {}): string {
  const given = Object.entries(query).filter(
    (pair): pair is [string, string] => pair[1] !== undefined && pair[1] !== '',
  );
  return `#/${view}${given.length === 0 ? '' : `?${new URLSearchParams(given).toString()}`}`;
}

/** Changes the query of the view in place; `undefined` and '' remove a value. The Back button returns to the last view. */
export function setQuery(change: Readonly<Record<string, string | undefined>>): void {
  const { view, query } = route.value;
  history.replaceState(null, '', linkTo(view, { ...query, ...change }));
  route.value = read(location.hash);
}

/** A step in the history: opening a row can be undone by the Back button. */
export function go(view: ViewName, query: Readonly<Record<string, string | undefined>> = {}): void {
  location.hash = linkTo(view, query);
}
