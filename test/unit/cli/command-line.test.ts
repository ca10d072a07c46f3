/** The command line itself: help, usage, exit codes. */
import { describe, expect, test } from 'vitest';
import { CLI_ERRORS } from '../../../src/cli/errors.ts';
import { EXIT_CODES_TEXT } from '../../../src/cli/exit-codes.ts';
import { VERSION, versionText } from '../../../src/cli/package.ts';
import { run } from '../../e2e/command.ts';
import { SOURCE_COMMAND } from '../../parts/command-path.ts';

/** All that is printed. */
const usage = (said: string): string => `CLI_USAGE ${said}\n  ${CLI_ERRORS.CLI_USAGE.fix}\n`;

describe('the command line', () => {
  test('--version and --help print on stdout and exit with 0', async () => {
    const [version, help] = await Promise.all([run(['--version'], { bin: SOURCE_COMMAND }), run(['--help'])]);
    expect(version).toEqual({ code: 0, out: `${versionText()}\n`, err: '' });
    expect(version.out.startsWith(VERSION)).toBe(true);
    expect(help.code).toBe(0);
    expect(help.out).toContain(EXIT_CODES_TEXT);
    for (const command of ['serve', 'lint', 'test', 'explain', 'eval', 'call', 'plugins', 'schema'])
      expect(help.out).toMatch(new RegExp(`^  ${command} `, 'm'));
    expect(help.out).not.toContain('\u001b');
  });

  test.each([
    [['srve'], usage("unknown command 'srve'; did you mean serve?")],
    [['nothing-like-it'], usage("unknown command 'nothing-like-it'")],
    [['deadletter', 'lst'], usage("unknown command 'lst'; did you mean list?")],
    [['serve'], usage("missing required argument 'config'")],
    [
      ['lint', 'examples/start', ''],
      usage('the argument config is empty; write a path, or set the variable it is from'),
    ],
    [['lint', 'examples/start', '--jsn'], usage("unknown option '--jsn'; did you mean --json?")],
    [['lint', 'examples/start', '--\u001b[31mred'], usage("unknown option '--\\u001b[31mred'")],
    [['mesh', '--kubeconfig'], usage("option '--kubeconfig <file>' argument missing")],
    [
      ['call', 'chek', '--to', 'x:1', '--request', 'y'],
      usage("command-argument value 'chek' is invalid for argument 'kind'. Allowed choices are check, limit, log."),
    ],
    [['explain', 'examples/start'], usage("required option '--request <file>' not specified")],
    [
      ['serve', 'examples/start', '--grpc', 'nowhere'],
      /CLI_ADDRESS "nowhere" is not an address; expected HOST:PORT or unix:PATH/,
    ],
    [
      ['serve', 'examples/start', '--grpc', 'unix:/tmp/a', '--workers', '2'],
      /CLI_USAGE .*a unix socket cannot be shared/,
    ],
    [
      ['plugins', 'show', 'quota-rediss'],
      /CLI_NO_SUCH_ADAPTER no adapter is named "quota-rediss"; did you mean quota-redis\?; for one of a plugin, name the policy/,
    ],
  ])('%j is a wrong command line: prints the reason on stderr, exits with 2', async (args, why) => {
    const { code, out, err } = await run(args);
    if (typeof why === 'string') expect(err).toBe(why);
    else expect(err).toMatch(why);
    expect({ code, out }).toEqual({ code: 2, out: '' });
  });

  // A start of the command each, which takes seconds on a busy machine, so each has a time limit of its own.
  test.each(
    [
      ['serve'],
      ['lint'],
      ['test'],
      ['explain'],
      ['eval'],
      ['call'],
      ['plugins'],
      ['plugins', 'show'],
      ['schema'],
      ['limits'],
      ['limits', 'inspect'],
      ['spool', 'list'],
      ...['list', 'show', 'replay', 'drop'].map((name) => ['deadletter', name]),
    ].map((args) => [args.join(' '), args] as const),
  )(
    '%s and its options have a help text',
    async (_, args) => {
      const { code, out } = await run([...args, '--help']);
      expect(code).toBe(0);
      const bare = out
        .split('\n')
        .filter((line) => /^ {2}(-|<|\[)?\S+.*$/.test(line) && /^ {2}(-\w, )?--\S+( <\S+>)?$/.test(line));
      expect(bare).toEqual([]);
    },
    30_000,
  );
});
