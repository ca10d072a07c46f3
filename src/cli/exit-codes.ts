/** Exit codes; printed by `sluice --help`, so scripts may rely on them. */
export const EXIT = {
  /** Done, without findings. */
  ok: 0,
  /** The policy has errors, a case failed, or the call was refused. */
  findings: 1,
  /** The command line is wrong. */
  usage: 2,
  /** Could not start, or could not reach a port, a file, a server. */
  unable: 3,
} as const;
export type ExitCode = (typeof EXIT)[keyof typeof EXIT];

export const EXIT_CODES_TEXT = [
  'Exit codes:',
  '  0  done, without findings',
  '  1  the policy has errors, a case failed, or the call was refused',
  '  2  the command line is wrong',
  '  3  could not start, or could not reach a port, a file, a server',
].join('\n');
