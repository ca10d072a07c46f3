import type { JSX } from 'preact';
import type { Theme } from '../screen.ts';
import type { ViewName } from '../route.ts';

const PATHS: Readonly<Record<ViewName | Theme | 'sluice', string>> = {
  sluice: 'M3 3v10M8 3v3.5M8 9.5V13M13 3v10',
  decisions: 'M2 8h2.5l2-5 3 10 2-5H14',
  rules: 'M5.5 4H14M5.5 8H14M5.5 12H14M2 4h.5M2 8h.5M2 12h.5',
  limits: 'M2.5 12a6 6 0 1 1 11 0M8 10l2.5-3.5',
  handlers: 'M5 2v3.5M11 2v3.5M3.5 5.5h9V8a4.5 4.5 0 0 1-9 0zM8 12.5V15',
  policy: 'M4 1.5h5.5L13 5v9.5H4zM9 1.5V5.5h4M6.5 9h4M6.5 11.5h4',
  candidate: 'M4 2.5v11M4 9c5 0 8-1 8-4.5M12 2.5v2M12 13.5v-2M4 9',
  playground: 'M4 2.5l9 5.5-9 5.5z',
  system: 'M2 3h12v8H2zM5.5 14h5M8 11v3',
  light:
    'M8 5.2a2.8 2.8 0 1 0 0 5.6 2.8 2.8 0 0 0 0-5.6zM8 1v1.5M8 13.5V15M1 8h1.5M13.5 8H15M3 3l1 1M12 12l1 1M3 13l1-1M12 4l1-1',
  dark: 'M13.5 9.5A6 6 0 0 1 6.5 2.5a6 6 0 1 0 7 7z',
};

export const Icon = ({ name }: { readonly name: keyof typeof PATHS }): JSX.Element => (
  <svg class="symbol" viewBox="0 0 16 16" aria-hidden="true">
    <path d={PATHS[name]} />
  </svg>
);
