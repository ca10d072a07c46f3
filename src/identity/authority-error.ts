/** The certificate authority cannot start, or cannot take a change; the message says where and what to do, never a part of a key. */
export class AuthorityError extends Error {
  constructor(message: string, cause?: unknown) {
    super(message, { cause });
    this.name = 'AuthorityError';
  }
}
