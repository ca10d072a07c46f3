/** Completion in real shells, the man page by mandoc, and `help`: all from the table of commands. */
import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { COMMANDS } from '../../../src/cli/program.ts';
import { argumentWords, commandRows, type CommandRow } from '../../../src/cli/shell/command-tree.ts';
import { completionScript, type Shell } from '../../../src/cli/shell/completion.ts';
import { manPage } from '../../../src/cli/shell/man-page.ts';
import { run } from '../../e2e/command.ts';
import { debianProgram } from '../../parts/fetch.ts';

const exec = promisify(execFile);
const ROWS = commandRows(COMMANDS);

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sluice-shell-'));
});
afterAll(async () => {
  await rm(folder, { recursive: true });
});

/** Runs one process for all completions: each line of its output is those of one command line. */
async function completions(
  shell: Shell,
  lines: readonly (readonly string[])[],
): Promise<readonly (readonly string[])[]> {
  const script = join(folder, `sluice.${shell}`);
  await writeFile(script, completionScript(shell, COMMANDS));
  const [program, ...args] = COMMANDS_OF[shell](script, lines);
  const { stdout } = await exec(program === 'bash' ? program : await debianProgram(program as 'zsh'), args, {
    maxBuffer: 1 << 24,
    cwd: folder,
  });
  return stdout
    .replace(/\n$/, '')
    .split('\n')
    .map((line) =>
      line
        .split(' ')
        .filter((word) => word !== '')
        .toSorted(),
    );
}

const inQuotes = (text: string): string => `'${text}'`;

const COMMANDS_OF: Readonly<Record<Shell, (script: string, lines: readonly (readonly string[])[]) => string[]>> = {
  bash: (script, lines) => [
    'bash',
    '--noprofile',
    '--norc',
    '-c',
    [
      `source ${script}`,
      ...lines.map(
        (words) =>
          `COMP_WORDS=(sluice ${words.map(inQuotes).join(' ')}); COMP_CWORD=${words.length}; COMPREPLY=(); _sluice; echo "\${COMPREPLY[*]}"`,
      ),
    ].join('\n'),
  ],
  // The functions of zsh's completion system print what they are given.
  zsh: (script, lines) => [
    'zsh',
    '-f',
    '-c',
    [
      'compdef() { :; }',
      '_files() { print -n FILES; }',
      'compadd() { shift; print -rn -- "$@"; }',
      '_describe() { local name="${@[-1]}"; print -rn -- "${(@P)name%%:*}"; }',
      `source ${script}`,
      ...lines.map(
        (words) =>
          `words=(sluice ${words.map(inQuotes).join(' ')}); CURRENT=${words.length + 1}; PREFIX=${inQuotes(words.at(-1) ?? '')}; _sluice; print`,
      ),
    ].join('\n'),
  ],
  fish: (script, lines) => [
    'fish',
    '--no-config',
    '-c',
    [
      `source ${script}`,
      ...lines.map((words) => `echo (complete -C ${inQuotes(`sluice ${words.join(' ')}`)} | string split -f1 \\t)`),
    ].join('\n'),
  ],
};

const flagsOf = ({ flags }: CommandRow): string[] =>
  [...flags.flatMap(({ short, long }) => [short ?? '', long ?? '']), '-h', '--help']
    .filter((name) => name !== '')
    .toSorted();
const long = (names: readonly string[]): readonly string[] => names.filter((name) => name.startsWith('--'));

describe.each(['bash', 'zsh', 'fish'] as const)('completion in %s', (shell) => {
  test('every command completes its flags, its subcommands and the words of its arguments', async () => {
    const found = await completions(
      shell,
      ROWS.flatMap(({ path }) => [
        [...path, '--'],
        [...path, ''],
      ]),
    );
    for (const [at, row] of ROWS.entries()) {
      const name = row.path.join(' ');
      expect(long(found[2 * at] ?? []), name).toEqual(long(flagsOf(row)));
      const words = [...row.subcommands.map((one) => one.name), ...argumentWords(row)];
      if (row.subcommands.length > 0) expect(found[2 * at + 1], name).toEqual(words.toSorted());
    }
  }, 60_000);

  test('values of a fixed set are completed, also below a subcommand', async () => {
    const lines = [
      ['serve', 'policy', '--log-level', ''],
      ['call', ''],
      ['plugins', 'serve', 'a', '--log-format', ''],
      ['completion', ''],
    ];
    expect(await completions(shell, lines)).toEqual([
      ['debug', 'error', 'info', 'warn'],
      ['check', 'limit', 'log'],
      ['json', 'text'],
      ['bash', 'fish', 'zsh'],
    ]);
  }, 30_000);
});

test('bash completes the beginning of a command, and leaves files to its default', async () => {
  const [commands, all, file] = await completions('bash', [['de'], [''], ['lint', 'pol']]);
  expect(commands).toEqual(['deadletter']);
  expect(all).toEqual(COMMANDS.map(({ name }) => name).toSorted());
  expect(file).toEqual([]);
  expect(completionScript('bash', COMMANDS)).toContain('complete -o default -F _sluice sluice');
});

describe('the man page', () => {
  test('has no warning of mandoc, and shows every command, flag and argument', async () => {
    const file = join(folder, 'sluice.1');
    await writeFile(file, manPage(COMMANDS, '1.2.3'));
    const mandoc = await debianProgram('mandoc');
    const lint = await exec(mandoc, ['-T', 'lint', '-W', 'warning', file]).catch((error: { stdout: string }) => error);
    const warnings = lint.stdout.split('\n').filter((line) => line !== '' && !line.includes('missing date'));
    expect(warnings).toEqual([]);
    const { stdout } = await exec(mandoc, ['-T', 'ascii', '-O', 'width=1000', file]);
    // oxlint-disable-next-line no-control-regex -- bold text is overstruck
    const text = stdout.replaceAll(/.\x08/g, '').replaceAll(/\s+/g, ' ');
    for (const { path, flags, args } of ROWS) {
      expect(text).toContain(['sluice', ...path].join(' '));
      for (const flag of flags) expect(text).toContain(`${flag.flags} ${flag.description}`);
      for (const argument of args) expect(text).toContain(argument.description);
    }
    expect(text).toContain('sluice 1.2.3');
  });
});

describe('sluice', () => {
  test('help COMMAND is COMMAND --help', async () => {
    const [help, flag] = await Promise.all([run(['help', 'plugins', 'new']), run(['plugins', 'new', '--help'])]);
    expect(help).toEqual(flag);
    expect(help.out).toContain('sluice plugins new');
    expect(await run(['help', 'srve'])).toMatchObject({
      code: 2,
      out: '',
      err: expect.stringContaining('did you mean serve'),
    });
  });

  test('completion and man print what is tested here', async () => {
    const [bash, man, unknown] = await Promise.all([
      run(['completion', 'bash']),
      run(['man']),
      run(['completion', 'csh']),
    ]);
    expect(bash).toEqual({ code: 0, out: completionScript('bash', COMMANDS), err: '' });
    expect(man.out.startsWith('.TH SLUICE 1')).toBe(true);
    expect(unknown.code).toBe(2);
  });
});
