/** A value that has no form on the wire: a function, an object of a class, a number beyond 2^53. */
export class CannotCross extends Error {
  constructor(path: string, what: string) {
    super(`${path === '' ? 'the value' : path} is ${what}, which cannot be sent to another process`);
    this.name = 'CannotCross';
  }
}
