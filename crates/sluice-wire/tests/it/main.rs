//! Properties of the wire formats: what is written is read back, and no input does harm.
