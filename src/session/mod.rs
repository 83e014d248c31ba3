//! Sessions: their ids, directories, records and liveness. A session's directory is 0700, its
//! records hold no environment value, and no path in it is ever visible inside a sandbox.
