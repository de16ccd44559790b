// SPDX-License-Identifier: Apache-2.0
// The published types describe what a server has in memory; these describe what of that a client reads.

import type { Serialized } from '@rocket.chat/core-typings';
import type { OperationResult } from '@rocket.chat/rest-typings';

type OptionalKeys<T> = { [K in keyof T]-?: undefined extends T[K] ? K : never }[keyof T];

// JSON has no undefined: what may be that is left out.
type Sent<T> = T extends (infer Item)[]
	? Sent<Item>[]
	: T extends object
		? { [K in Exclude<keyof T, OptionalKeys<T>>]: Sent<T[K]> } & { [K in OptionalKeys<T>]?: Sent<T[K]> }
		: T;

type Success = { success: true };
type Get<Path extends Parameters<typeof path>[0]> = Sent<Serialized<OperationResult<'GET', Path>>>;
type Post<Path extends Parameters<typeof path>[0]> = Sent<Serialized<OperationResult<'POST', Path>>>;

declare function path(name: keyof import('@rocket.chat/rest-typings').Endpoints): void;

export type ImportProgress = Get<'/v1/getImportProgress'> & Success & { count: { error?: number } };
export type ImportStatus = Get<'/v1/import.status'> & Success;
export type CurrentOperation = Get<'/v1/getCurrentImportOperation'> & Success;
export type LatestOperations = Get<'/v1/getLatestImportOperations'>;
export type FileData = Get<'/v1/getImportFileData'> & Success;
export type Importers = Get<'/v1/importers.list'>;
export type NewOperation = Post<'/v1/import.new'> & Success;
export type PendingFiles = Post<'/v1/downloadPendingFiles'> & Success;
export type PendingAvatars = Post<'/v1/downloadPendingAvatars'> & Success;
export type Me = Get<'/v1/me'>;
