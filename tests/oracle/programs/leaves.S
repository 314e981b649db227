/* Leaf functions that wait in a system call (pause, 34) at a chosen point of their code, with the call
 * frame information that is true there: a thread can be seen in a prologue and in an epilogue. */
        .text

        .macro  WAIT
        movl    $34, %eax
        syscall
        .endm

        .macro  BEGIN name
        .globl  \name
        .hidden \name
        .type   \name, @function
\name:
        .cfi_startproc
        .endm

        .macro  END name
        ret
        .cfi_endproc
        .size   \name, . - \name
        .endm

        /* before anything was pushed */
        BEGIN   oracle_leaf_entry
        WAIT
        END     oracle_leaf_entry

        /* the frame pointer is pushed and not yet set */
        BEGIN   oracle_leaf_pushed
        pushq   %rbp
        .cfi_def_cfa_offset 16
        .cfi_offset %rbp, -16
        xorl    %ebp, %ebp
        WAIT
        popq    %rbp
        .cfi_def_cfa_offset 8
        .cfi_restore %rbp
        END     oracle_leaf_pushed

        /* the frame is complete */
        BEGIN   oracle_leaf_framed
        pushq   %rbp
        .cfi_def_cfa_offset 16
        .cfi_offset %rbp, -16
        movq    %rsp, %rbp
        .cfi_def_cfa_register %rbp
        subq    $136, %rsp
        WAIT
        leave
        .cfi_def_cfa %rsp, 8
        .cfi_restore %rbp
        END     oracle_leaf_framed

        /* the frame is gone, the return is to come */
        BEGIN   oracle_leaf_popped
        pushq   %rbp
        .cfi_def_cfa_offset 16
        .cfi_offset %rbp, -16
        movq    %rsp, %rbp
        .cfi_def_cfa_register %rbp
        popq    %rbp
        .cfi_def_cfa %rsp, 8
        .cfi_restore %rbp
        WAIT
        END     oracle_leaf_popped

        /* every register that a caller relies on is saved, and overwritten */
        BEGIN   oracle_leaf_saved
        pushq   %rbx
        .cfi_adjust_cfa_offset 8
        .cfi_rel_offset %rbx, 0
        pushq   %rbp
        .cfi_adjust_cfa_offset 8
        .cfi_rel_offset %rbp, 0
        pushq   %r12
        .cfi_adjust_cfa_offset 8
        .cfi_rel_offset %r12, 0
        pushq   %r13
        .cfi_adjust_cfa_offset 8
        .cfi_rel_offset %r13, 0
        pushq   %r14
        .cfi_adjust_cfa_offset 8
        .cfi_rel_offset %r14, 0
        pushq   %r15
        .cfi_adjust_cfa_offset 8
        .cfi_rel_offset %r15, 0
        movq    $-1, %rbx
        movq    %rbx, %rbp
        movq    %rbx, %r12
        movq    %rbx, %r13
        movq    %rbx, %r14
        movq    %rbx, %r15
        WAIT
        popq    %r15
        .cfi_adjust_cfa_offset -8
        .cfi_restore %r15
        popq    %r14
        .cfi_adjust_cfa_offset -8
        .cfi_restore %r14
        popq    %r13
        .cfi_adjust_cfa_offset -8
        .cfi_restore %r13
        popq    %r12
        .cfi_adjust_cfa_offset -8
        .cfi_restore %r12
        popq    %rbp
        .cfi_adjust_cfa_offset -8
        .cfi_restore %rbp
        popq    %rbx
        .cfi_adjust_cfa_offset -8
        .cfi_restore %rbx
        END     oracle_leaf_saved

        .section .note.GNU-stack, "", @progbits
