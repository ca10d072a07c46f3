/** What the command's exit code says; printed by `sluice --help`, so scripts may rely on it. */
export const EXIT = {
  /** Done, and nothing to complain of. */
  ok: 0,
  /** The policy has errors, a case failed, or the call was refused. */
  findings: 1,
  /** The command line is wrong. */
  usage: 2,
  /** It could not start or could not reach what it needs: a port, a file, a server. */
  unable: 3,
} as const;
export type ExitCode = (typeof EXIT)[keyof typeof EXIT];

export const EXIT_CODES_TEXT = [
  'Exit codes:',
  '  0  done, nothing to complain of',
  '  1  the policy has errors, a case failed, or the call was refused',
  '  2  the command line is wrong',
  '  3  could not start, or could not reach what it needs (a port, a file, a server)',
].join('\n');
