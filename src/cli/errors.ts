/** Errors of the command line; docs/errors.md is generated from tables like this. */
export const CLI_ERRORS = {
  CLI_USAGE: {
    means: 'The command line is wrong: an unknown command or option, or a missing argument.',
    fix: 'Read `sluice --help`, or `sluice COMMAND --help`.',
  },
  CLI_ADDRESS: {
    means: 'An address is not of the form HOST:PORT.',
    fix: 'Write `127.0.0.1:9091`, `[::1]:9091`, or `0.0.0.0:9091` for all interfaces; port 0 takes any free one.',
  },
  CLI_REQUEST_FILE: {
    means: 'The file given with --request cannot be read, or has no valid attributes.',
    fix: 'Give a YAML or JSON file of attributes: `request.method: GET`, one a line, and `call: tcp` for another kind of call.',
  },
  CLI_FILE: {
    means: 'A file given to a command cannot be read or written.',
    fix: 'Check the path, its permissions and the room on the disk.',
  },
  CLI_EVAL: {
    means: 'The input of an evaluation has a wrong form: a line of JSON, a vocabulary, or the value of an attribute.',
    fix: 'The message names the key and the expected form; docs/expressions.md shows an example of each.',
  },
  CLI_UNREACHABLE: {
    means: 'The called server did not answer, or answered with a gRPC error.',
    fix:
      'Check that it runs, and the address: `call` and `health` ask the gRPC port (9091), `why`, `record`, `promote` and `rollback` the admin ' +
      'port of `sluice serve` (15014), `limits` that or the debug port of `sluice ratelimit` (6070). Its log shows errors on its side.',
  },
  CLI_SPOOL: {
    means: 'The folder of the spools cannot be read, or it or the server has no such handler or dead letter.',
    fix: 'Give the folder of settings.spool.folder by --folder, or the policy by --policy, or, for reports in memory, the admin port by --to; `sluice spool list` and `sluice deadletter list` show what is there.',
  },
  CLI_DECISION_LOG: {
    means: 'A file given with --log cannot be read.',
    fix: 'Give the files that log-file writes for rules of decision calls, or - for stdin.',
  },
  CLI_CALLS_FILE: {
    means: 'The file of recorded calls cannot be written: the disk is full, the path is wrong, or it is another file.',
    fix: 'Make room, or give another path by --to; what was written until then can be read.',
  },
  CLI_NO_CALLS: {
    means: 'None of the given files has a call that can be read.',
    fix: 'Give files that `sluice record` writes, or JSON access logs of Envoy; docs/replay.md shows both.',
  },
  CLI_ENVOY_FILE: {
    means: 'The configuration of Envoy given with --check cannot be read.',
    fix: 'Give a bootstrap of Envoy, or the answer of its admin page /config_dump, in YAML or JSON.',
  },
  CLI_NO_SUCH_ADAPTER: {
    means: 'No adapter has that name.',
    fix: '`sluice plugins` lists all adapters.',
  },
  CLI_FOLDER_EXISTS: {
    means: 'The folder of a new plugin exists, and has files in it.',
    fix: 'Choose another name, or remove the folder; nothing was written.',
  },
  CLI_IPTABLES: {
    means:
      'The rules of iptables could not be changed: a program or the capability NET_ADMIN is missing, or the kernel refuses a rule.',
    fix: 'Run it as root with NET_ADMIN in the network namespace of the pod, with iptables and iproute2 installed; --print shows the rules.',
  },
  CLI_CASE: {
    means: 'A case has a wrong form, or names no policy.',
    fix: 'Correct it as the message says; docs/rules.md shows the form under Cases.',
  },
  CLI_NO_CASES: {
    means: 'None of the given files contains cases.',
    fix: 'A file of cases has a key `cases`; see docs/rules.md under Cases.',
  },
} as const;
export type CliErrorCode = keyof typeof CLI_ERRORS;
