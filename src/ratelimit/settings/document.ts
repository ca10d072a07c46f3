/** docs/ratelimit-settings.md, from the tables of settings. */
import { IGNORED_SETTINGS } from './ignored-settings.ts';
import { defaultOf, type Setting } from './setting.ts';
import { SETTING_GROUPS } from './settings.ts';

export function settingsDocument(): string {
  return [
    '<!-- Written by `npm run generate` from src/ratelimit/settings; a test fails when it is stale. -->',
    '# Settings of `sluice ratelimit`',
    '',
    'Environment variables, with the names of envoyproxy/ratelimit; `SLUICE_...` are additions. ' +
      'Durations are written as in Go (`150ms`, `24h`); flags as `true` or `false`.',
    '',
    ...SETTING_GROUPS.flatMap(([title, settings]) => [
      `## ${title}`,
      '',
      '| name | default | meaning |',
      '|---|---|---|',
      ...settings.map((setting: Setting) => `| \`${setting.name}\` | ${defaultText(setting)} | ${setting.means} |`),
      '',
    ]),
    '## Settings without effect',
    '',
    'Settings of envoyproxy/ratelimit that are accepted and ignored; a warning in the log names each that is set.',
    '',
    '| name | reason |',
    '|---|---|',
    ...[...IGNORED_SETTINGS].map(([name, why]) => `| \`${name}\` | ${why} |`),
    '',
  ].join('\n');
}

function defaultText(setting: Setting): string {
  const initial = defaultOf(setting);
  if (initial === '') return '';
  return `\`${setting.kind === 'duration' && typeof initial === 'number' ? durationText(initial) : String(initial)}\``;
}

function durationText(ms: number): string {
  if (ms % 3_600_000 === 0) return `${ms / 3_600_000}h`;
  return ms % 1000 === 0 ? `${ms / 1000}s` : `${ms}ms`;
}
