import { CLI_ERRORS, type CliErrorCode } from './errors.ts';
import { EXIT, type ExitCode } from './exit-codes.ts';

/** Something that stops a command, said in one message: what is wrong; the next step comes from the table of errors. */
export class CliError extends Error {
  readonly code: CliErrorCode;
  readonly exit: ExitCode;

  constructor(code: CliErrorCode, message: string, options: ErrorOptions & { readonly exit?: ExitCode } = {}) {
    super(message, options);
    this.name = 'CliError';
    this.code = code;
    this.exit = options.exit ?? EXIT.unable;
  }

  /** What to do about it. */
  get fix(): string {
    return CLI_ERRORS[this.code].fix;
  }
}
