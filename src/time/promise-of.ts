/**
 * The promise of a value that a plugin answers later; `undefined` if the value is there. What the `then` of a promise that is not Node's
 * own throws, rejects. Throws what reading `then` throws.
 */
export const promiseOf = <T>(value: T | PromiseLike<T>): Promise<T> | undefined =>
  typeof value === 'object' && value !== null && typeof (value as { then?: unknown }).then === 'function'
    ? Promise.resolve(value)
    : undefined;
