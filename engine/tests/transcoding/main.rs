//! Sessions that are loaded into a cache of another form: nothing is evaluated but the token that was held back, and what
//! the model says next is as near to a live session there as quantizing alone allows.

mod desk;
mod distance;
mod forms;
mod rotation;
