/** docs/ratelimit-settings.md, from the tables of settings. */
import { NOT_HONOURED, SETTINGS } from './settings.ts';

export function settingsDocument(): string {
  return [
    '<!-- Written by `npm run generate` from src/ratelimit/settings/settings.ts; a test says when it is stale. -->',
    '# Settings of `sluice ratelimit`',
    '',
    'From the environment, by the names of envoyproxy/ratelimit; those that begin with `SLUICE_` are ours. Durations are written as Go does (`150ms`, `24h`).',
    '',
    '| name | default | means |',
    '|---|---|---|',
    ...SETTINGS.map(({ name, kind, is, means }) => `| \`${name}\` | ${shown(kind, is)} | ${means} |`),
    '',
    'Known, and without effect here; where one is set, the log says so:',
    '',
    '| name | why |',
    '|---|---|',
    ...[...NOT_HONOURED].map(([name, why]) => `| \`${name}\` | ${why} |`),
    '',
  ].join('\n');
}

function shown(kind: (typeof SETTINGS)[number]['kind'], is: string | number | boolean): string {
  if (is === '') return '';
  return `\`${kind === 'duration' && typeof is === 'number' ? durationText(is) : String(is)}\``;
}

function durationText(ms: number): string {
  if (ms % 3_600_000 === 0) return `${ms / 3_600_000}h`;
  return ms % 1000 === 0 ? `${ms / 1000}s` : `${ms}ms`;
}
