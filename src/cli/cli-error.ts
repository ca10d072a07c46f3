import { StartError, type StartErrorCode } from '../serve/errors.ts';
import { CLI_ERRORS, type CliErrorCode } from './errors.ts';
import { EXIT, type ExitCode } from './exit-codes.ts';

/** An error that stops a command. The message states the cause; the next step comes from the table of errors. */
export class CliError extends Error {
  readonly code: CliErrorCode;

  constructor(code: CliErrorCode, message: string, options: ErrorOptions = {}) {
    super(message, options);
    this.name = 'CliError';
    this.code = code;
  }

  /** The next step. */
  get fix(): string {
    return CLI_ERRORS[this.code].fix;
  }
}

/** Errors that are printed as a code, a message and the next step, without a stack. */
export const isExpected = (error: unknown): error is CliError | StartError =>
  error instanceof CliError || error instanceof StartError;

const EXIT_OF: Partial<Record<CliErrorCode | StartErrorCode, ExitCode>> = {
  CLI_USAGE: EXIT.usage,
  CLI_ADDRESS: EXIT.usage,
  CLI_SETTING: EXIT.usage,
  CLI_NO_SUCH_ADAPTER: EXIT.usage,
  CLI_POLICY: EXIT.findings,
  CLI_NO_CASES: EXIT.findings,
};

export const exitOf = ({ code }: CliError | StartError): ExitCode => EXIT_OF[code] ?? EXIT.unable;
